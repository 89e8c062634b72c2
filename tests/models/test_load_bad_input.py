"""Checkpoints that are not what they should be, through ``hype encode`` and ``import model``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import hypencli
from hypencli.errors import ModelError
from hypencli.models.cross_encoder import load_cross_encoder, score_pairs
from hypencli.models.encoding import EncodingOptions
from tests.conftest import Hype

MODEL = 6
WEIGHTS = "model.safetensors"


@pytest.fixture(params=["hypencoder", "bi-encoder", "backbone"])
def checkpoint(
    request: pytest.FixtureRequest, bench: Path, tiny_backbone: Path, tmp_path: Path
) -> Path:
    """A copy of a checkpoint of each kind, to break."""
    if request.param == "backbone":
        return Path(shutil.copytree(tiny_backbone, tmp_path / "model"))
    name = {"hypencoder": "hyper", "bi-encoder": "plain"}[request.param]
    return copied(bench, name, tmp_path / "model")


def copied(store: Path, name: str, folder: Path) -> Path:
    """A model of a store as a checkpoint of its own."""
    import hypestore

    opened = hypestore.Store.open(store)
    copy = Path(shutil.copytree(opened.path(opened.get(name, kind="model")), folder))
    (copy / "manifest.json").unlink()
    return copy


def refused(hype_in_bench: Hype, checkpoint: Path, corpus: Path, words: str) -> None:
    """Refused by both verbs; a plain backbone is told how it pools, which is not what is wrong."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    named = [] if "hype" in config else ["--pooling", "mean"]
    for command in (
        ["encode", corpus, "--model", checkpoint],
        ["import", "model", checkpoint, "--copy", "--name", "broken"],
    ):
        outcome = hype_in_bench(*command, *named)
        assert outcome.code == MODEL, outcome.err
        assert str(checkpoint) in outcome.err
        assert words in outcome.err


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused_by_tensor(
    value: float, checkpoint: Path, tiny_collection: Path, hype_in_bench: Hype
) -> None:
    state = load_file(checkpoint / WEIGHTS)
    key = next(key for key in sorted(state) if key.endswith("word_embeddings.weight"))
    state[key][3, 1] = value
    save_file(state, checkpoint / WEIGHTS, metadata={"format": "pt"})
    words = "word_embeddings.weight"
    refused(hype_in_bench, checkpoint, tiny_collection / "corpus.jsonl", words)


def test_training_from_weights_that_are_no_numbers_is_refused(
    checkpoint: Path, tiny_recipe_settings: list[str], hype_in_bench: Hype
) -> None:
    state = load_file(checkpoint / WEIGHTS)
    for key in state:
        state[key].view(-1)[0] = float("nan")
    save_file(state, checkpoint / WEIGHTS, metadata={"format": "pt"})
    settings = [*tiny_recipe_settings, "--set", "model.pooling=mean"]
    outcome = hype_in_bench("train", "tiny", *settings, "--set", f"model.backbone={checkpoint}")
    assert outcome.code == MODEL
    assert "NaN or infinity" in outcome.err


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_safetensors_are_refused(
    keep: int, checkpoint: Path, tiny_collection: Path, hype_in_bench: Hype
) -> None:
    whole = (checkpoint / WEIGHTS).read_bytes()
    (checkpoint / WEIGHTS).write_bytes(whole[:keep])
    refused(hype_in_bench, checkpoint, tiny_collection / "corpus.jsonl", "header")


def test_a_header_of_absurd_length_takes_no_memory(
    checkpoint: Path, tiny_collection: Path, hype_in_bench: Hype
) -> None:
    whole = (checkpoint / WEIGHTS).read_bytes()
    (checkpoint / WEIGHTS).write_bytes(b"\xff" * 8 + whole)
    refused(hype_in_bench, checkpoint, tiny_collection / "corpus.jsonl", "header too large")


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "a decoder": ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "is a decoder"),
    "an encoder with a decoder": ({"model_type": "t5", "is_encoder_decoder": True}, "decoder"),
    "unknown to the library": ({"model_type": "nonesuch"}, "no model that this transformers"),
    "another class": ({"architectures": ["NoneSuch"], "model_type": None}, "config.json"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_checkpoint_of_another_architecture_is_refused(
    case: str, tiny_backbone: Path, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    changes, words = CONFIGS[case]
    checkpoint = Path(shutil.copytree(tiny_backbone, tmp_path / "model"))
    path = checkpoint / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in config.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")
    refused(hype_in_bench, checkpoint, tiny_collection / "corpus.jsonl", words)


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_a_configuration_that_is_no_json_object_is_refused(
    content: str, tiny_backbone: Path, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    checkpoint = Path(shutil.copytree(tiny_backbone, tmp_path / "model"))
    (checkpoint / "config.json").write_text(content, encoding="utf-8")
    outcome = hype_in_bench("encode", tiny_collection / "corpus.jsonl", "--model", checkpoint)
    assert outcome.code == MODEL
    assert "config.json is not" in outcome.err


def test_weights_of_another_architecture_are_named(
    bench: Path, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    """The bi-encoder's weights under the Hypencoder's configuration."""
    checkpoint = copied(bench, "hyper", tmp_path / "model")
    shutil.copy(copied(bench, "plain", tmp_path / "other") / WEIGHTS, checkpoint / WEIGHTS)
    refused(hype_in_bench, checkpoint, tiny_collection / "corpus.jsonl", "missing: query_encoder.")


def with_more_tokens(backbone: Path, folder: Path) -> Path:
    """A backbone with the tokenizer of a larger model: a word has an id beyond its embeddings."""
    copy = Path(shutil.copytree(backbone, folder))
    path = copy / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    word = next(word for word in ("the", "of", "is", "what") if word in vocabulary)
    vocabulary[word] = 40_000
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    return copy


def test_tokens_beyond_the_embeddings_are_refused_by_verbs(
    tiny_backbone: Path, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    folder = with_more_tokens(tiny_backbone, tmp_path / "model")
    plain = ["--model", folder, "--pooling", "mean"]
    places = ["--set", f"model.backbone={folder}"]
    rows = ["--set", f"data.train={tiny_collection / 'train.jsonl'}"]
    for command in (
        ["encode", tiny_collection / "corpus.jsonl", *plain],
        ["train", "tiny", *places, *rows, "--set", "model.pooling=mean"],
    ):
        outcome = hype_in_bench(*command)
        assert outcome.code == MODEL, outcome.err
        assert "the token id 40,000" in outcome.err
        assert "embeddings for the ids below" in outcome.err


def test_tokens_beyond_the_embeddings_are_refused_by_the_library(
    tiny_backbone: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    words = "the token id 40,000"
    model = hypencli.load(with_more_tokens(tiny_backbone, tmp_path / "model"), pooling="mean")
    with pytest.raises(ModelError, match=words):
        model.encode_queries(["the of is what"])
    with pytest.raises(ModelError, match=words):
        model.encode_passages(["the of is what"])
    teacher = load_cross_encoder(with_more_tokens(tiny_cross_encoder, tmp_path / "teacher"))
    with pytest.raises(ModelError, match=words):
        score_pairs(teacher, [("the of", "is what")], EncodingOptions(max_length=16))
