"""Models out of the store as folders, and folders into it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import hypencli
from hypencli.errors import ModelError, UsageError
from hypencli.ops.encode import encode
from hypencli.ops.models import ModelSource, find_model
from hypencli.ops.training.run import train
from hypencli.ops.transfer.models import ExportedModel, export_model, import_model
from hypencli.recipe import load_recipe
from hypestore import ArtifactNotFound, NameTaken, Store

QUESTIONS = ["what is river and boat", "what is moon"]
PASSAGES = ["the river a boat", "the moon in orbit of the planet", "dough"]

# What the published losses take, read from that code: another name or option ends its loading.
PUBLISHED_LOSSES = {
    "margin_mse": {"scale"},
    "cross_entropy": {
        "scale",
        "use_in_batch_negatives",
        "only_use_first_item",
        "use_query_embedding_representation",
    },
}

Trained = Callable[..., str]


@pytest.fixture
def store(study: Path) -> Store:
    return Store.open(study)


@pytest.fixture
def trained(store: Store, tiny_recipe_settings: list[str]) -> Trained:
    """Trains two steps with other settings; gives the model's name."""

    def make(name: str, *settings: str) -> str:
        inputs = [*tiny_recipe_settings[1::2], "training.steps=2", *settings]
        train(store, load_recipe("tiny", inputs), name=name)
        return name

    return make


def scores(folder: Path) -> np.ndarray:
    model = hypencli.load(str(folder))
    return np.asarray(model.encode_queries(QUESTIONS)(model.encode_passages(PASSAGES)))


def config(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return content


def export(store: Store, model: str, output: Path, **options: Any) -> ExportedModel:
    return export_model(store, model, output, **options)


@pytest.mark.parametrize("model", ["hyper", "plain"])
def test_what_is_exported_scores_the_same_to_the_last_bit(
    store: Store, tmp_path: Path, model: str
) -> None:
    done = export(store, model, tmp_path / "out")
    assert done.path == tmp_path / "out"
    assert set(done.files) == {
        "README.md",
        "config.json",
        "model.safetensors",
        "recipe.toml",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.parquet",
    }
    assert done.size_bytes == sum(path.stat().st_size for path in done.path.iterdir())
    expected = scores(store.path(store.get(model)))
    np.testing.assert_array_equal(scores(done.path), expected)
    assert [path.name for path in tmp_path.iterdir() if path.name != "study"] == ["out"]


def test_the_bin_file_has_both_prefixes_and_stores_a_tensor_once(
    store: Store, tmp_path: Path
) -> None:
    done = export(store, "hyper", tmp_path / "out", with_bin=True)
    state = torch.load(done.path / "pytorch_model.bin", weights_only=True)
    shared = [key for key in state if key.startswith("query_encoder.transformer.")]
    assert shared
    for key in shared:
        twin = state[key.replace("query_encoder", "passage_encoder")]
        assert state[key].data_ptr() == twin.data_ptr()
    for key, tensor in load_file(done.path / "model.safetensors").items():
        assert torch.equal(state[key], tensor)
    expected = scores(done.path)
    (done.path / "model.safetensors").unlink()
    np.testing.assert_array_equal(scores(done.path), expected)


def test_losses_that_published_code_does_not_know_do_not_stop_it(
    store: Store, trained: Trained, tmp_path: Path
) -> None:
    losses = "[{type = 'cross_entropy', scale = 0.5}, {type = 'self_distillation'}]"
    model = trained("distilled", f"losses={losses}", "model.embedding_representation=mean")
    done = export(store, model, tmp_path / "out")
    assert done.obstacles == ()
    raw = config(done.path)
    assert raw["loss_type"] == ["cross_entropy"]
    for name, options in zip(raw["loss_type"], raw["loss_kwargs"], strict=True):
        assert set(options) <= PUBLISHED_LOSSES[name]
    assert [loss["name"] for loss in raw["hype"]["losses"]] == [
        "cross_entropy",
        "self_distillation",
    ]
    loaded = hypencli.HypencoderDualEncoder.from_pretrained(done.path)
    assert [loss.name for loss in loaded.settings.losses] == ["cross_entropy", "self_distillation"]
    assert loaded.settings.losses[0].options["scale"] == 0.5


def test_published_losses_are_where_published_code_reads_them(store: Store, tmp_path: Path) -> None:
    raw = config(export(store, "hyper", tmp_path / "out").path)
    assert raw["loss_type"] == ["cross_entropy"]
    assert "losses" not in raw["hype"]


def test_a_local_backbone_is_warned_of_until_it_has_a_name(store: Store, tmp_path: Path) -> None:
    done = export(store, "hyper", tmp_path / "out")
    (recorded,) = done.local_backbones
    assert recorded.endswith("tiny-bert")
    assert "once `model_name_or_path`" in (done.path / "README.md").read_text(encoding="utf-8")
    named = export(store, "hyper", tmp_path / "named", backbone_name="owner/tiny-bert")
    assert (named.backbones, named.local_backbones) == (("owner/tiny-bert",), ())
    raw = config(named.path)
    for side in ("query", "passage"):
        assert raw[f"{side}_encoder_kwargs"]["model_name_or_path"] == "owner/tiny-bert"
    assert "once" not in (named.path / "README.md").read_text(encoding="utf-8")
    np.testing.assert_array_equal(scores(named.path), scores(done.path))


def test_a_relative_folder_is_no_name_of_the_hub_wherever_one_is(
    store: Store,
    trained: Trained,
    tiny_backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ "folder/tiny-bert" looks like a name of the hub from where there is no such folder."""
    monkeypatch.chdir(tiny_backbone.parent.parent)
    relative = f"{tiny_backbone.parent.name}/{tiny_backbone.name}"
    model = trained("relative", f"model.backbone={relative}")
    monkeypatch.chdir(tmp_path)
    assert export(store, model, tmp_path / "out").local_backbones == (relative,)


def test_what_published_code_cannot_do_is_said(
    store: Store, trained: Trained, tmp_path: Path
) -> None:
    warm = trained("warm", "model.converter.name=warm-start", "model.pooling=cls")
    assert "warm-start" in export(store, warm, tmp_path / "warm").obstacles[0]
    assert "It cannot use this model" in (tmp_path / "warm" / "README.md").read_text()
    assert "TextDualEncoder" in export(store, "plain", tmp_path / "plain").obstacles[0]
    mean = export(store, "hyper", tmp_path / "mean")
    assert mean.obstacles == ()
    assert ["padding" in difference for difference in mean.differences] == [True]
    unit = trained("unit", "model.normalize=true", "model.pooling=cls")
    assert "length 1" in export(store, unit, tmp_path / "unit").differences[0]
    exact = trained("exact", "model.pooling=cls")
    assert export(store, exact, tmp_path / "exact").differences == ()


def test_a_model_from_outside_is_exported_too(
    store: Store, tiny_backbone: Path, tmp_path: Path
) -> None:
    source = ModelSource(str(tiny_backbone), pooling="mean", label="outside")
    manifest = import_model(store, source)
    done = export(store, "outside", tmp_path / "out")
    assert config(done.path)["architectures"] == ["TextDualEncoder"]
    card = (done.path / "README.md").read_text(encoding="utf-8")
    assert "# outside" in card
    assert str(tiny_backbone) not in card
    assert f"…/{tiny_backbone.name}" in card
    again = import_model(store, ModelSource(str(done.path), label="again"))
    facts = [store.get(one.model).stats for one in (manifest, again)]
    assert facts[0] == facts[1]


def test_a_folder_with_something_in_it_is_left_alone(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    done = export(store, "hyper", target)  # an empty folder is free
    before = sorted(target.iterdir())
    with pytest.raises(UsageError, match="not empty"):
        export(store, "plain", target)
    assert sorted(target.iterdir()) == before
    (target / "old.txt").write_text("x")
    export(store, "plain", target, overwrite=True)
    assert not (target / "old.txt").exists()
    assert config(done.path)["architectures"] == ["TextDualEncoder"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_only_a_model_is_replaced(store: Store, tmp_path: Path, overwrite: bool) -> None:
    target = tmp_path / "home"
    target.mkdir()
    (target / "letters.txt").write_text("dear")
    with pytest.raises(UsageError):
        export(store, "hyper", target, overwrite=overwrite)
    with pytest.raises(UsageError, match="is a file"):
        export(store, "hyper", target / "letters.txt", overwrite=overwrite)
    assert (target / "letters.txt").read_text() == "dear"


def test_the_store_and_the_model_itself_are_no_place_to_write(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(store.path(store.get("hyper")), outside)
    import_model(store, ModelSource(str(outside), label="outside"))
    (store.root / "config.json").write_text("{}")
    for target in (store.root, store.root / "models" / "new", store.root.parent, outside):
        with pytest.raises(UsageError, match="contains files of the store"):
            export(store, "outside", target, overwrite=True)


def test_a_failed_export_leaves_what_was_there(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    export(store, "hyper", target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hypencli.models.checkpoints.weights.write_bin", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(store, "plain", target, overwrite=True, with_bin=True)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name != "study"] == ["out"]


def test_an_absent_model_is_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFound):
        export(store, "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_by_reference_changed_files_are_refused(store: Store, tmp_path: Path) -> None:
    folder = export(store, "hyper", tmp_path / "out").path
    done = import_model(store, ModelSource(str(folder), label="mine"))
    assert (done.name, done.copied, done.existing) == ("mine", False, False)
    assert store.get("mine").size_bytes == 0
    assert import_model(store, ModelSource(str(folder), label="mine")).existing
    raw = config(folder)
    raw["extra"] = 1
    (folder / "config.json").write_text(json.dumps(raw))
    with pytest.raises(ModelError, match="have changed"):
        export(store, "mine", tmp_path / "again")


def test_a_copy_needs_its_origin_no_more(
    store: Store, tmp_path: Path, tiny_collection: Path
) -> None:
    from hypencli.data.corpus import open_corpus

    folder = export(store, "hyper", tmp_path / "out").path
    expected = scores(folder)
    done = import_model(store, ModelSource(str(folder), label="mine"), copy=True)
    assert (done.name, done.copied, done.existing) == ("mine", True, False)
    shutil.rmtree(folder)
    manifest = find_model(store, ModelSource("mine"))
    assert {file.path for file in manifest.files} >= {"config.json", "README.md", "recipe.toml"}
    assert manifest.provenance["source"] == str(folder)
    np.testing.assert_array_equal(scores(store.path(manifest)), expected)
    # The same passage encoder: what is encoded with the one is searched with the other.
    encoded = encode(store, open_corpus(tiny_collection / "corpus.jsonl"), ModelSource("mine"))
    assert encoded.embeddings == store.get("hyper-docs").id
    back = export(store, "mine", tmp_path / "back").path
    card = (back / "README.md").read_text(encoding="utf-8")
    assert card.count("## The code published with the paper") == 1


def test_a_copied_plain_encoder_knows_its_pooling(
    store: Store, tiny_backbone: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="how it pools"):
        import_model(store, ModelSource(str(tiny_backbone), label="bare"), copy=True)
    source = ModelSource(str(tiny_backbone), label="bare", pooling="cls")
    by_reference = import_model(store, ModelSource(str(tiny_backbone), pooling="cls"))
    copied = import_model(store, source, copy=True)
    assert copied.model != by_reference.model
    assert store.get(copied.model).stats == store.get(by_reference.model).stats
    np.testing.assert_array_equal(
        scores(export(store, "bare", tmp_path / "a").path),
        scores(export(store, by_reference.model, tmp_path / "b").path),
    )


def test_taken_names_and_absent_models_are_refused(store: Store, tiny_backbone: Path) -> None:
    source = ModelSource(str(tiny_backbone), pooling="cls", label="hyper")
    for copy in (False, True):
        with pytest.raises(NameTaken):
            import_model(store, source, copy=copy)
    with pytest.raises(ModelError, match="no such folder"):
        import_model(store, ModelSource("absent/absent"))
