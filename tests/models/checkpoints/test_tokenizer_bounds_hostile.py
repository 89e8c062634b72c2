"""Tokenizer files that take all time or memory, or panic: ``hype encode`` ends with an error 6."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Hype

MODEL = 6
Change = Callable[[dict[str, Any]], object]


def model(**values: object) -> Change:
    """Replace values of the tokenizer's model."""
    return lambda tokenizer: tokenizer["model"].update(values)


def whole(part: str, **values: object) -> Change:
    """Replace a part of the tokenizer."""
    return lambda tokenizer: tokenizer.update({part: values})


def token(number: int) -> Change:
    """Add a token with this id to the vocabulary."""
    return lambda tokenizer: tokenizer["model"]["vocab"].update(newcomer=number)


def replace(pattern: dict[str, str], content: str) -> dict[str, object]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def sequence(*normalizers: object) -> Change:
    return whole("normalizer", type="Sequence", normalizers=list(normalizers))


def charsmap(content: bytes) -> Change:
    packed = base64.b64encode(content).decode()
    return whole("normalizer", type="Precompiled", precompiled_charsmap=packed)


CLS = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
TEXT = {"Sequence": {"id": "A", "type_id": 0}}
MANY = {"[CLS]": {"id": "[CLS]", "ids": [2] * 1_000, "tokens": ["[CLS]"] * 1_000}}

UNBOUNDED: dict[str, tuple[Change, str]] = {
    "an id of 2^31": (token(2**31), "the id 2147483648"),
    "a negative id": (token(-1), "the id -1"),
    "three replacements": (
        sequence(*[replace({"String": "e"}, "e" * 1_000)] * 3),
        "characters of one",
    ),
    "replacements of nothing": (
        sequence(*[replace({"Regex": ""}, "e" * 9)] * 8),
        "characters of one",
    ),
    "sequences in sequences": (
        sequence({"type": "Sequence", "normalizers": [replace({"Regex": "."}, "e" * 300)]}),
        "characters of one",
    ),
    "a long beginning": (
        sequence({"type": "Prepend", "prepend": "e" * 100_000}),
        "characters of one",
    ),
    "a million tokens around a text": (
        whole(
            "post_processor",
            type="TemplateProcessing",
            single=[*[CLS] * 1_000, TEXT],
            pair=[TEXT],
            special_tokens=MANY,
        ),
        "1,000,000 tokens to a text",
    ),
    "words without end": (model(max_input_chars_per_word=2**60), "max_input_chars_per_word"),
    "a long prefix": (model(continuing_subword_prefix="#" * 10_000), "10,000 characters"),
}
DAMAGED: dict[str, Change] = {
    "a character map that is cut short": charsmap(bytes(6)),
    "a character map of another kind": charsmap(b"\xff" * 6),
    "no vocabulary": whole("model", type="Unigram", unk_id=0, vocab=[]),
    "a vocabulary without the unknown token": whole("model", type="Unigram", vocab=[["a", 0.0]]),
    "merges of tokens that are none": whole(
        "model", type="BPE", vocab={"a": 0, "b": 1}, merges=[["a", "b"]]
    ),
    "pieces of no length": whole("pre_tokenizer", type="FixedLength", length=0),
    "an expression that no engine reads": sequence(replace({"Regex": "("}, "")),
}


def broken(backbone: Path, folder: Path, change: Change) -> Path:
    """A backbone whose tokenizer is read as its file says, after a change of the file."""
    copy = Path(shutil.copytree(backbone, folder))
    settings = copy / "tokenizer_config.json"
    named = json.loads(settings.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.write_text(json.dumps(named), encoding="utf-8")
    path = copy / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    change(tokenizer)
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    return copy


@pytest.mark.parametrize("case", UNBOUNDED)
def test_a_tokenizer_beyond_its_bounds_is_refused(
    case: str, tiny_backbone: Path, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    change, words = UNBOUNDED[case]
    folder = broken(tiny_backbone, tmp_path / "model", change)
    corpus = tiny_collection / "corpus.jsonl"
    outcome = hype_in_bench("encode", corpus, "--model", folder, "--pooling", "mean")
    assert outcome.code == MODEL, outcome.err
    assert str(folder / "tokenizer.json") in outcome.err
    assert words in outcome.err


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_tokenizer_is_refused(
    case: str, tiny_backbone: Path, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    folder = broken(tiny_backbone, tmp_path / "model", DAMAGED[case])
    corpus = tiny_collection / "corpus.jsonl"
    outcome = hype_in_bench("encode", corpus, "--model", folder, "--pooling", "mean")
    assert outcome.code == MODEL, outcome.err
    assert "okenizer" in outcome.err


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, '{"added_tokens": 3}', "{}"])
def test_what_is_no_tokenizer_is_refused(
    content: str, tiny_backbone: Path, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    folder = Path(shutil.copytree(tiny_backbone, tmp_path / "model"))
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    corpus = tiny_collection / "corpus.jsonl"
    outcome = hype_in_bench("encode", corpus, "--model", folder, "--pooling", "mean")
    assert outcome.code == MODEL, outcome.err
    assert str(folder) in outcome.err


@pytest.mark.parametrize("name", ["vocab.json", "added_tokens.json"])
def test_other_vocabularies_have_the_same_bound(
    name: str, tiny_backbone: Path, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    folder = Path(shutil.copytree(tiny_backbone, tmp_path / "model"))
    (folder / name).write_text(json.dumps({"newcomer": 2**31}), encoding="utf-8")
    corpus = tiny_collection / "corpus.jsonl"
    outcome = hype_in_bench("encode", corpus, "--model", folder, "--pooling", "mean")
    assert outcome.code == MODEL, outcome.err
    assert name in outcome.err


def test_a_teacher_and_a_paraphraser_are_held_to_the_same_bounds(
    tiny_backbone: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    import torch

    from hypencli.errors import ModelError
    from hypencli.models.cross_encoder import load_cross_encoder
    from hypencli.models.paraphrase import paraphrases

    folder = broken(tiny_cross_encoder, tmp_path / "model", token(2**31))
    with pytest.raises(ModelError, match="the id 2147483648"):
        load_cross_encoder(folder)
    with pytest.raises(ModelError):
        paraphrases(str(folder), ["a"], device=torch.device("cpu"))
