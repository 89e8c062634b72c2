"""Tokenizers that are read without ``transformers`` give its token ids."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertTokenizerFast

from hypencli.models.checkpoints.native.tokenizer import NativeTokenizer
from hypencli.models.checkpoints.sentence import load_tokenizer
from hypencli.models.fingerprint import tokenizer_fingerprint

TEXTS = ["what is a River and the sun?", "", "ÄÖÜ é 東京 [SEP] [MASK]", "a" * 120, "x y  z\tq\nr"]


def folder_with(
    folder: Path, backbone: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]
) -> Path:
    """Copy a tokenizer and change its two files."""
    names = ("tokenizer.json", "tokenizer_config.json")
    rules, settings = (json.loads((backbone / name).read_text()) for name in names)
    change(rules, settings)
    for name, content in zip(names, (rules, settings), strict=True):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    shutil.copy(backbone / "config.json", folder)
    return folder


def as_of_version_4(rules: dict[str, Any], settings: dict[str, Any]) -> None:
    """Make the files those that earlier versions of the library wrote."""
    rules["truncation"] = {
        **{"direction": "Right", "max_length": 12, "strategy": "LongestFirst", "stride": 0}
    }
    rules["padding"] = {
        **{"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": None},
        **{"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
    }
    settings["added_tokens_decoder"] = {
        str(one["id"]): {key: value for key, value in one.items() if key != "id"}
        for one in rules["added_tokens"]
    }
    settings |= {"tokenizer_class": "BertTokenizerFast", "never_split": None, "stride": 0}
    settings |= {"do_basic_tokenize": True, "additional_special_tokens": []}


def cased(rules: dict[str, Any], settings: dict[str, Any]) -> None:
    rules["normalizer"]["lowercase"] = settings["do_lower_case"] = False
    rules["normalizer"]["strip_accents"] = settings["strip_accents"] = True


def no_length(rules: dict[str, Any], settings: dict[str, Any]) -> None:
    del settings["model_max_length"]


@pytest.mark.parametrize("change", [lambda *_: None, as_of_version_4, cased, no_length])
@pytest.mark.parametrize("truncation", [{}, {"truncation": True, "max_length": 9}], ids=str)
def test_token_ids_are_those_of_the_library(
    change: Any, truncation: dict[str, Any], tiny_backbone: Path, tmp_path: Path
) -> None:
    folder = folder_with(tmp_path, tiny_backbone, change)
    own, library = load_tokenizer(folder, native=True), load_tokenizer(folder)
    assert isinstance(own, NativeTokenizer)
    actual, expected = own(TEXTS, **truncation), library(TEXTS, **truncation)
    assert actual["input_ids"] == expected["input_ids"]
    overflow = [
        [bool(one.overflowing) for one in encoded.encodings] for encoded in (actual, expected)
    ]
    assert overflow[0] == overflow[1]
    assert tokenizer_fingerprint(own) == tokenizer_fingerprint(library)
    facts = [(one.pad_token_id, one.model_max_length, len(one)) for one in (own, library)]
    assert facts[0] == facts[1]


def test_other_calls_are_answered_by_the_library(tiny_backbone: Path, tmp_path: Path) -> None:
    own, library = load_tokenizer(tiny_backbone, native=True), load_tokenizer(tiny_backbone)
    assert isinstance(own, NativeTokenizer)
    options = {"padding": True, "return_tensors": "np"}
    assert own(TEXTS, **options)["input_ids"].tolist() == (
        library(TEXTS, **options)["input_ids"].tolist()
    )
    assert own(["a"], ["river"])["input_ids"] == library(["a"], ["river"])["input_ids"]
    assert own.cls_token == "[CLS]"
    own.save_pretrained(tmp_path)
    assert isinstance(load_tokenizer(tmp_path), BertTokenizerFast)


def _set(path: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Make a change of one value: ``rules.model.type`` or ``settings.never_split``."""

    def change(rules: dict[str, Any], settings: dict[str, Any]) -> None:
        place: Any = {"rules": rules, "settings": settings}
        *parents, last = path.split(".")
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place[parent]
        place[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rules.normalizer.lowercase", False),
        ("rules.normalizer.strip_accents", True),
        ("rules.normalizer", None),
        ("rules.pre_tokenizer", {"type": "Whitespace"}),
        ("rules.post_processor.special_tokens.[CLS].ids", [4]),
        ("rules.decoder", None),
        ("rules.model.type", "WordLevel"),
        ("rules.model.max_input_chars_per_word", 50),
        ("rules.model.vocab.river", 1.5),
        ("rules.model.vocab.[PAD]", True),
        ("rules.model.extra", 1),
        ("rules.added_tokens", []),
        ("rules.added_tokens.0.lstrip", True),
        ("rules.version", "2.0"),
        ("settings.tokenizer_class", "PreTrainedTokenizerFast"),
        ("settings.tokenizer_class", ["BertTokenizer"]),
        ("settings.do_lower_case", False),
        ("settings.strip_accents", 0),
        ("settings.unk_token", "[MASK]"),
        ("settings.cls_token", {"content": "[CLS]", "lstrip": True}),
        ("settings.padding_side", "left"),
        ("settings.extra_special_tokens", ["<q>"]),
        ("settings.model_max_length", 12.5),
        ("settings.vocab_file", "/etc/passwd"),
        ("settings.auto_map", {"AutoTokenizer": ["a.B", None]}),
        ("settings.query_token", "<q>"),
    ],
    ids=str,
)
def test_other_rules_are_left_to_the_library(
    path: str, value: Any, tiny_backbone: Path, tmp_path: Path
) -> None:
    from hypencli.models.checkpoints.native.tokenizer import native_tokenizer

    folder = folder_with(tmp_path, tiny_backbone, _set(path, value))
    assert native_tokenizer(folder, lambda: None) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("added_tokens.json", "{}"),
        ("vocab.json", "{}"),
        ("special_tokens_map.json", '{"cls_token": "[SEP]"}'),
        ("special_tokens_map.json", "[]"),
        ("tokenizer_config.json", "no JSON"),
        ("config.json", '{"model_type": "modernbert"}'),
        ("config.json", '{"auto_map": {}}'),
    ],
    ids=str,
)
def test_other_files_are_left_to_the_library(
    name: str, content: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    from hypencli.models.checkpoints.native.tokenizer import native_tokenizer

    folder = folder_with(tmp_path, tiny_backbone, lambda *_: None)
    assert native_tokenizer(folder, lambda: None) is not None
    (folder / name).write_text(content, encoding="utf-8")
    assert native_tokenizer(folder, lambda: None) is None
