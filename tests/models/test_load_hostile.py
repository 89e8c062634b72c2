"""Checkpoints of others: none of their code runs, nothing beside them is read, no size believed."""

from __future__ import annotations

import json
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hypencli.errors import ModelError
from hypencli.models.cross_encoder import load_cross_encoder
from hypencli.models.load import ModelSpec, build_dual_encoder, load_dual_encoder, load_tokenizer
from hypencli.models.paraphrase import paraphrases
from tests.hostile import Payload

Change = Callable[[Path, Path], None]
"""What is done to a folder, given it and the path that a payload would make."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """A Hypencoder."""
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    spec = ModelSpec(
        backbone=str(tiny_backbone), pooling="mean", converter_options={"hidden_layers": 1}
    )
    build_dual_encoder(spec).save_pretrained(folder, tokenizer=load_tokenizer(tiny_backbone))
    return folder


@pytest.fixture(params=["hypencoder", "encoder", "cross-encoder"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(
    kind: str, tmp_path: Path, checkpoint: Path, tiny_backbone: Path, tiny_cross_encoder: Path
) -> Path:
    """A model of each kind that verbs load, to be made hostile."""
    source = {"hypencoder": checkpoint, "cross-encoder": tiny_cross_encoder}.get(kind)
    return Path(shutil.copytree(source or tiny_backbone, tmp_path / "model"))


def load(kind: str, folder: Path) -> object:
    if kind == "cross-encoder":
        return load_cross_encoder(folder)
    return load_dual_encoder(folder, pooling="mean" if kind == "encoder" else None)


def weights(content: Callable[[Path], object]) -> Change:
    """A ``.bin`` in place of the weights: bytes, or what torch saves."""

    def change(folder: Path, canary: Path) -> None:
        (folder / "model.safetensors").unlink()
        path, created = folder / "pytorch_model.bin", content(canary)
        if isinstance(created, bytes):
            path.write_bytes(created)
        else:
            torch.save(created, path)

    return change


def old_tar(canary: Path) -> bytes:
    """The oldest format of torch, a tar file of pickles."""
    import io

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(Payload(canary), protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def safetensors(content: Callable[[Path], bytes]) -> Change:
    def change(folder: Path, canary: Path) -> None:
        (folder / "model.safetensors").write_bytes(content(canary))

    return change


def header(**tensor: object) -> bytes:
    text = json.dumps({"x": tensor}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


def index(parts: object) -> Change:
    """Weights in parts; ``outside`` has good ones."""

    def change(folder: Path, canary: Path) -> None:
        shutil.move(folder / "model.safetensors", folder.parent / "good.safetensors")
        said = parts(folder.parent) if callable(parts) else parts
        (folder / "model.safetensors.index.json").write_text(json.dumps(said), encoding="utf-8")

    return change


def one_part(name: object) -> dict[str, object]:
    return {"metadata": {}, "weight_map": {"x": name}}


def settings(**values: object) -> Change:
    """Fields of the backbone's configuration, wherever the model has it."""

    def change(folder: Path, canary: Path) -> None:
        path = folder / "config.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        for part in raw.get("hype", {}).values():
            if isinstance(part, dict):
                part["backbone"].update(values)
        if "hype" not in raw:
            raw.update(values)
        path.write_text(json.dumps(raw), encoding="utf-8")

    return change


def written(name: str, text: str) -> Change:
    def change(folder: Path, canary: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return change


def code(folder: Path, canary: Path) -> None:
    """Modules beside the weights that ``auto_map`` names."""
    text = f"open({str(canary)!r}, 'w').close()\nclass Code: pass\n"
    (folder / "evil.py").write_text(text, encoding="utf-8")


def with_code(change: Change) -> Change:
    def changed(folder: Path, canary: Path) -> None:
        code(folder, canary)
        change(folder, canary)

    return changed


def tokenizer(**values: object) -> Change:
    def change(folder: Path, canary: Path) -> None:
        code(folder, canary)
        path = folder / "tokenizer_config.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(raw | values), encoding="utf-8")

    return change


HOSTILE: dict[str, Change] = {
    "a pickle": weights(lambda canary: pickle.dumps(Payload(canary), protocol=2)),
    "a pickle in torch's archive": weights(lambda canary: {"x": Payload(canary)}),
    "a pickle as a tensor's metadata": weights(
        lambda canary: {"x": torch.zeros(1), "y": [Payload(canary)]}
    ),
    "a tar of pickles": weights(old_tar),
    "a list": weights(lambda canary: [torch.zeros(1)]),
    "texts": weights(lambda canary: {"a": "b"}),
    "a pickle as safetensors": safetensors(lambda canary: pickle.dumps(Payload(canary))),
    "a header of 4 EiB": safetensors(lambda canary: (2**62).to_bytes(8, "little") + b"{}"),
    "a header of 99 MB that is not there": safetensors(
        lambda canary: (99 * 10**6).to_bytes(8, "little") + b"{}"
    ),
    "a shape of 4 EiB": safetensors(
        lambda canary: header(dtype="F32", shape=[2**40, 2**20], data_offsets=[0, 4])
    ),
    "places outside of the file": safetensors(
        lambda canary: header(dtype="F32", shape=[1], data_offsets=[2**40, 2**40 + 4])
    ),
    "an index that leads up": index(one_part("../good.safetensors")),
    "an index that leads far": index(lambda place: one_part(str(place / "good.safetensors"))),
    "an index with backslashes": index(one_part("..\\good.safetensors")),
    "an index of a number": index(one_part(3)),
    "an index of nothing": index({}),
    "an index of a list": index({"weight_map": ["x"]}),
    "an attention kernel of others": settings(attn_implementation="evil/kernel"),
    "the same by its inner name": settings(_attn_implementation="evil/kernel"),
    "attention by part": settings(attn_implementation={"": "evil/kernel"}),
    "quantised by a package": settings(
        quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True}
    ),
    "an unknown type with code": with_code(
        settings(model_type="evil", auto_map={"AutoConfig": "evil.Code", "AutoModel": "evil.Code"})
    ),
    "an absurd width": settings(hidden_size=2**40),
    "an absurd vocabulary": settings(vocab_size=10**12),
    "an absurd number of layers": settings(num_hidden_layers=10**5),
    "wide beyond its weights": settings(hidden_size=2**14, intermediate_size=2**16),
    "no heads": settings(num_attention_heads=0),
    "a width in words": settings(hidden_size="wide"),
    "a configuration without end": written("config.json", '{"a":' * 10_000),
    "no configuration": written("config.json", "[]"),
    "a tokenizer elsewhere": tokenizer(vocab_file="/etc/passwd", tokenizer_file="/etc/passwd"),
    "a tokenizer that is a list": written("tokenizer_config.json", "[]"),
    "a tokenizer without end": written("tokenizer.json", "[" * 100_000),
    "a tokenizer of bytes": written("tokenizer.json", "\x80\x04"),
    "a length in words": written("sentence_bert_config.json", '{"max_seq_length": "x"}'),
    "a length in a list": written("sentence_bert_config.json", "[1]"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_checkpoint_is_an_error_and_nothing_else(
    folder: Path,
    kind: str,
    case: str,
    canary: Path,
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked to run code"))
    HOSTILE[case](folder, canary)
    with pytest.raises(ModelError) as caught:
        load(kind, folder)
    assert "weights_only" not in str(caught.value)
    assert "trust_remote_code" not in capsys.readouterr().out


HARMLESS: dict[str, Change] = {
    "code for a known type": with_code(
        settings(auto_map={"AutoModel": "evil.Code", "AutoConfig": "evil.Code"})
    ),
    "code for a known tokenizer": tokenizer(auto_map={"AutoTokenizer": ["evil.Code", None]}),
    "a class of a tokenizer that is none": tokenizer(tokenizer_class="os.system"),
    "a template": tokenizer(chat_template="{{ ''.__class__.__mro__[1].__subclasses__() }}"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_code_that_is_not_needed_is_not_run(
    folder: Path, kind: str, case: str, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked to run code"))
    HARMLESS[case](folder, canary)
    assert load(kind, folder)


def test_nobody_is_asked_whether_code_may_run(
    folder: Path, kind: str, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tokenizer that is code alone: refused, or what the model's type has is taken instead."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked to run code"))
    named = {"AutoTokenizer": ["evil.Code", None]}
    tokenizer(auto_map=named, tokenizer_class="Code")(folder, canary)
    if kind == "hypencoder":
        with pytest.raises(ModelError, match="No tokenizer"):
            load(kind, folder)
    else:
        assert load(kind, folder)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("an attention kernel of others", "leads to code"),
        ("quantised by a package", "leads to code"),
        ("an index that leads up", "no file beside it"),
        ("an absurd number of layers", "at most 1,000"),
        ("an unknown type with code", "cannot be loaded"),
    ],
)
def test_what_paraphrases_is_refused_before_it_is_loaded(
    tiny_backbone: Path,
    tmp_path: Path,
    canary: Path,
    case: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked to run code"))
    folder = Path(shutil.copytree(tiny_backbone, tmp_path / "model"))
    HOSTILE[case](folder, canary)
    with pytest.raises(ModelError, match=said):
        paraphrases(str(folder), ["a"], device=torch.device("cpu"))


@pytest.mark.parametrize("kind", ["encoder", "cross-encoder"], indirect=True)
def test_adapters_of_other_models_are_refused(folder: Path, kind: str) -> None:
    written("adapter_config.json", '{"base_model_name_or_path": "/etc"}')(folder, folder)
    with pytest.raises(ModelError, match="adapters of other models"):
        load(kind, folder)


@pytest.mark.parametrize(
    "modules",
    [
        {"a": 1},
        [1],
        [{"type": "x.Pooling"}],
        [{"type": "sentence_transformers.models.Pooling", "path": "../../outside"}],
        [{"type": "sentence_transformers.models.Pooling", "path": "/etc"}],
        [{"type": "os.system", "path": "x"}],
    ],
)
def test_steps_of_a_sentence_encoder_lie_in_its_folder(
    tiny_backbone: Path, tmp_path: Path, modules: object
) -> None:
    folder = Path(shutil.copytree(tiny_backbone, tmp_path / "model"))
    (tmp_path / "outside").mkdir()
    pooling = {"pooling_mode_cls_token": True}
    (tmp_path / "outside" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.raises(ModelError):
        load_dual_encoder(folder)


def test_a_tensor_larger_than_what_is_stored_takes_no_memory(
    checkpoint: Path, tmp_path: Path
) -> None:
    """One number repeated without end, as ``.bin`` files can say it."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "model"))
    weights(lambda canary: {"x": torch.zeros(1).expand(2**40)})(folder, folder)
    with pytest.raises(ModelError, match="do not fit"):
        load_dual_encoder(folder)


def test_parts_that_lie_together_are_read(checkpoint: Path, tmp_path: Path) -> None:
    """The index is used at all: the same weights in two files give the same model."""
    from hypencli.models.checkpoints.weights import read_weights

    folder = Path(shutil.copytree(checkpoint, tmp_path / "model"))
    whole = read_weights(folder)
    names = sorted(whole)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, keys in halves.items():
        save_file({key: whole[key] for key in keys}, folder / file)
    (folder / "model.safetensors").unlink()
    said = {"weight_map": {key: file for file, keys in halves.items() for key in keys}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(said), encoding="utf-8")
    again = read_weights(folder)
    assert again.keys() == whole.keys()
    assert all(torch.equal(again[key], tensor) for key, tensor in whole.items())
    dual: Any = load_dual_encoder(folder)[0]
    assert dual is not None
