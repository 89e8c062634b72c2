"""Models from outside the store: what of their files is registered, loaded and compared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hypencli.data.corpus import open_corpus
from hypencli.errors import ModelError
from hypencli.models.encoding import EncodingOptions, encode_passages
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.models import (
    LoadedModel,
    ModelSource,
    copy_model,
    find_model,
    load_model,
    model_facts,
    read_model,
    register_model,
)
from hypestore import EmbeddingWork, Store

CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"
TEXTS = ["the river runs to the sea", "bread of flour and yeast"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


@pytest.fixture
def encoder(tmp_path: Path, tiny_backbone: Path) -> Path:
    """A sentence encoder: the tiny backbone, with the files that say how it pools."""
    folder = Path(shutil.copytree(tiny_backbone, tmp_path / "encoder"))
    steps = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [{"path": path, "type": f"sentence_transformers.{kind}"} for path, kind in steps]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    return folder


def overwrite(path: Path) -> None:
    """Write zeros over the weights, in place."""
    size = path.stat().st_size
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    with path.open("r+b") as stream:
        stream.seek(header)
        stream.write(bytes(size - header))


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_weights_in_memory_do_not_follow_the_file(store: Store, encoder: Path) -> None:
    loaded = load_model(store, register_model(store, ModelSource(str(encoder))), device=CPU)
    options = EncodingOptions(max_length=16)
    side = loaded.dual.passage_encoder
    before = encode_passages(side, loaded.tokenizer, TEXTS, options)
    overwrite(encoder / WEIGHTS)
    after = encode_passages(side, loaded.tokenizer, TEXTS, options)
    assert np.array_equal(after, before)


USE_AFTER_TRUNCATION = """
import sys
from hypencli.models.load import load_dual_encoder
model, tokenizer = load_dual_encoder(sys.argv[1])
open(sys.argv[1] + "/model.safetensors", "wb").close()
print(sum(float(each.sum()) for each in model.parameters()))
"""


def test_weights_that_are_cut_short_after_loading_end_nothing(encoder: Path) -> None:
    """A page of a mapped file that is not there any more would be SIGBUS."""
    command = [sys.executable, "-c", USE_AFTER_TRUNCATION, str(encoder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def vectors(store: Store, reference: str) -> np.ndarray:
    return np.concatenate([block for _, block in store.embeddings(reference).blocks()])


def test_a_set_is_of_one_model_though_its_weights_are_overwritten_meanwhile(
    store: Store,
    encoder: Path,
    tiny_collection: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    options = EncodeOptions(limit=24, shard_rows=8)
    whole = Store.create(tmp_path / "other")
    expected = vectors(whole, encode(whole, corpus, ModelSource(str(encoder)), options).embeddings)
    write = EmbeddingWork.write_shard

    def then_overwrite(*arguments: Any, **options: Any) -> None:
        write(*arguments, **options)
        overwrite(encoder / WEIGHTS)

    monkeypatch.setattr(EmbeddingWork, "write_shard", then_overwrite)
    done = encode(store, corpus, ModelSource(str(encoder)), options)
    assert np.array_equal(vectors(store, done.embeddings), expected)


def test_a_set_is_not_sealed_if_the_weights_changed_in_memory(
    store: Store, encoder: Path, tiny_collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    write, loaded = EmbeddingWork.write_shard, []

    def load(*arguments: Any, **options: Any) -> LoadedModel:
        loaded.append(load_model(*arguments, **options))
        return loaded[0]

    def then_change(*arguments: Any, **options: Any) -> None:
        write(*arguments, **options)
        with torch.no_grad():
            next(loaded[0].dual.parameters()).add_(1)

    monkeypatch.setattr("hypencli.ops.encode.load_model", load)
    monkeypatch.setattr(EmbeddingWork, "write_shard", then_change)
    options = EncodeOptions(limit=24, shard_rows=8)
    with pytest.raises(ModelError, match="changed in memory"):
        encode(store, corpus, ModelSource(str(encoder)), options)
    assert store.artifacts("embeddings") == []


def swap_tokens(folder: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        vocabulary = content["model"]["vocab"]
        words = [word for word in vocabulary if word.isalpha()]
        one, other = words[:2]
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]

    edit_json(folder / "tokenizer.json", change)


def pool_by_cls(folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')


def do_not_normalise(folder: Path) -> None:
    path = folder / "modules.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:2]), encoding="utf-8")


def shorten(folder: Path) -> None:
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 8}')


EDITS: dict[str, Callable[[Path], None]] = {
    "tokenizer.json": swap_tokens,
    "1_Pooling/config.json": pool_by_cls,
    "modules.json": do_not_normalise,
    "sentence_bert_config.json": shorten,
}


@pytest.mark.parametrize("edited", EDITS)
@pytest.mark.parametrize("take", [register_model, copy_model])
def test_an_edited_file_beside_the_weights_makes_another_model(
    edited: str, take: Callable[..., object], store: Store, encoder: Path
) -> None:
    source = ModelSource(str(encoder))
    first = take(store, source)
    assert take(store, source) == first
    EDITS[edited](encoder)
    second = take(store, source)
    assert second != first
    assert len(store.artifacts("model")) == 2


@pytest.mark.parametrize("edited", EDITS)
def test_a_registered_model_is_refused_once_a_file_beside_its_weights_is_edited(
    edited: str, store: Store, encoder: Path
) -> None:
    manifest = register_model(store, ModelSource(str(encoder)))
    EDITS[edited](encoder)
    with pytest.raises(ModelError, match="tokenizer, pooling") as caught:
        load_model(store, manifest, device=CPU)
    assert str(encoder) in str(caught.value)
    assert f"hype import model {encoder}" in str(caught.value.hint)


@pytest.mark.parametrize("edited", [*EDITS, WEIGHTS])
def test_an_edit_is_noticed_where_the_model_is_named_and_its_vectors_are_there(
    edited: str, store: Store, encoder: Path, tiny_collection: Path
) -> None:
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    options = EncodeOptions(limit=8)
    encode(store, corpus, ModelSource(str(encoder)), options)
    assert encode(store, corpus, ModelSource("encoder"), options).existing
    assert encode(store, corpus, ModelSource(), options).existing
    EDITS.get(edited, lambda folder: overwrite(folder / WEIGHTS))(encoder)
    for source in (ModelSource("encoder"), ModelSource()):
        with pytest.raises(ModelError, match="have changed since its registration"):
            encode(store, corpus, source, options)


def test_vectors_stay_of_use_when_their_model_is_gone(
    store: Store, encoder: Path, tiny_collection: Path
) -> None:
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    options = EncodeOptions(limit=8)
    encode(store, corpus, ModelSource(str(encoder)), options)
    shutil.rmtree(encoder)
    assert encode(store, corpus, ModelSource("encoder"), options).existing


def test_files_that_change_no_vector_may_be_edited(store: Store, encoder: Path) -> None:
    manifest = register_model(store, ModelSource(str(encoder)))
    (encoder / "README.md").write_text("about it")
    (encoder / "notes.json").write_text("{}")
    assert register_model(store, ModelSource(str(encoder))) == manifest
    assert load_model(store, manifest, device=CPU).manifest == manifest


def published(folder: Path) -> None:
    """Remove what published checkpoints lack: the configuration of the backbone."""
    edit_json(folder / "config.json", lambda config: config.pop("hype"))


def test_an_edited_configuration_of_a_named_backbone_is_noticed(
    store: Store, encoder: Path, study: Path, tmp_path: Path
) -> None:
    trained = Store.open(study)
    folder = tmp_path / "published"
    shutil.copytree(trained.path(trained.get("plain", kind="model")), folder)
    (folder / "manifest.json").unlink()
    published(folder)
    source = ModelSource(str(folder), backbone=str(encoder))
    manifest = register_model(store, source)
    edit_json(encoder / "config.json", lambda config: config.update(num_attention_heads=2))
    with pytest.raises(ModelError, match="backbone configuration"):
        load_model(store, manifest, device=CPU)
    other = register_model(store, source)
    assert other.id != manifest.id
    assert other.stats["passage_fingerprint"] != manifest.stats["passage_fingerprint"]


def test_a_local_configuration_that_a_checkpoint_names_is_noticed(
    store: Store, encoder: Path, study: Path, tmp_path: Path
) -> None:
    trained = Store.open(study)
    folder = tmp_path / "published"
    shutil.copytree(trained.path(trained.get("plain", kind="model")), folder)
    (folder / "manifest.json").unlink()
    published(folder)

    def name_it(config: dict[str, Any]) -> None:
        for side in ("query", "passage"):
            config[f"{side}_encoder_kwargs"]["model_name_or_path"] = str(encoder)

    edit_json(folder / "config.json", name_it)
    manifest = register_model(store, ModelSource(str(folder)))
    edit_json(encoder / "config.json", lambda config: config.update(num_attention_heads=2))
    with pytest.raises(ModelError, match="backbone configuration"):
        load_model(store, manifest, device=CPU)


def registered_by_0_5(store: Store, folder: Path) -> str:
    """Register a folder as version 0.5 did, with the fingerprint of the weights alone."""
    from hypencli.ops.model_files import files_fingerprint

    inputs = {
        "source": str(folder),
        "files_sha256": files_fingerprint(folder),
        "backbone": None,
        "pooling": None,
        "trust_code": False,
    }
    facts = model_facts(*read_model(ModelSource(), folder))
    with store.draft("model", folder.name, inputs, name=folder.name) as draft:
        return draft.commit(stats=facts, provenance={}).id


def test_what_an_earlier_version_registered_keeps_its_id(store: Store, encoder: Path) -> None:
    older = registered_by_0_5(store, encoder)
    assert find_model(store, ModelSource(str(encoder))).id == older
    assert load_model(store, store.get(older), device=CPU).manifest.id == older
    assert [one.id for one in store.artifacts("model")] == [older]


def test_a_backbone_that_was_recorded_as_typed_keeps_its_model(
    store: Store, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(encoder.parent)
    source = ModelSource(str(encoder), backbone=encoder.name)
    with monkeypatch.context() as before:
        before.setattr("hypencli.ops.models._backbone", lambda source: source.backbone)
        older = register_model(store, source)
    assert older.inputs["backbone"] == encoder.name
    assert register_model(store, source).id == older.id


def test_a_backbone_is_found_from_any_folder(
    store: Store, encoder: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Store.open(study)
    folder = tmp_path / "published"
    shutil.copytree(trained.path(trained.get("plain", kind="model")), folder)
    (folder / "manifest.json").unlink()
    published(folder)
    monkeypatch.chdir(encoder.parent)
    manifest = register_model(store, ModelSource(str(folder), backbone=encoder.name))
    assert manifest.inputs["backbone"] == str(encoder)
    monkeypatch.chdir(store.root)
    assert load_model(store, manifest, device=CPU).manifest.id == manifest.id
    whole = ModelSource(str(folder), backbone=str(encoder))
    assert register_model(store, whole).id == manifest.id


@pytest.mark.parametrize("edited", ["tokenizer.json", "1_Pooling/config.json", "modules.json"])
def test_an_edit_since_an_earlier_version_registered_it_makes_another_model(
    edited: str, store: Store, encoder: Path
) -> None:
    older = registered_by_0_5(store, encoder)
    EDITS[edited](encoder)
    newer = find_model(store, ModelSource(str(encoder)))
    assert newer.id != older
    assert newer.stats["passage_fingerprint"] != store.get(older).stats["passage_fingerprint"]


def test_files_that_change_while_a_model_is_registered_are_refused(
    store: Store, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_then_edit(source: ModelSource, place: Path) -> object:
        read = read_model(source, place)
        swap_tokens(encoder)
        return read

    monkeypatch.setattr("hypencli.ops.models.read_model", read_then_edit)
    with pytest.raises(ModelError, match="changed while they were read"):
        register_model(store, ModelSource(str(encoder)))
    assert store.artifacts("model") == []
    assert store.unfinished("model") == []


@pytest.mark.usefixtures("clock_goes_back")
def test_the_default_model_is_what_came_last_whatever_the_clock_says(store: Store) -> None:
    made = []
    for number in (1, 2):
        with store.draft("model", "m", {"number": number}, name=f"model{number}") as draft:
            made.append(draft.commit())
    assert made[0].created > made[1].created
    assert find_model(store, ModelSource()) == made[1]


@pytest.mark.parametrize("folder", [".hidden", "-rf", "tiny-0123456789"])
def test_a_folder_that_cannot_be_a_name_gives_none(
    store: Store, encoder: Path, folder: str
) -> None:
    named = encoder.rename(encoder.with_name(folder))
    registered = register_model(store, ModelSource(str(named)))
    assert registered.name is None
