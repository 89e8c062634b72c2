"""Absolute paths are shortened to their last part wherever they stand; other texts stay."""

from __future__ import annotations

import json
import tomllib

import pytest

from hypencli.errors import DataError
from hypencli.private_paths import PathShortener

SECRET = "ann-of-acme"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (f"/home/{SECRET}/qrels.txt", "…/qrels.txt"),
        (f"/{SECRET}/beir/", "…/beir"),
        (f"/home/{SECRET}/my data/qrels (1).txt", "…/qrels (1).txt"),
        (f"folder:/home/{SECRET}/beir", "folder:…/beir"),
        (f"~{SECRET}/beir", "…/beir"),
        (f"C:\\Users\\{SECRET}\\beir", "…/beir"),
        (f"error in /home/{SECRET}/docs.jsonl, line 3", "error in …/docs.jsonl, line 3"),
        (f"`/home/{SECRET}/model`, 7 rows", "`…/model`, 7 rows"),
        (f"error in ~{SECRET}/docs.jsonl", "error in …/docs.jsonl"),
    ],
)
def test_a_path_is_shortened(text: str, short: str) -> None:
    shortener = PathShortener()
    assert shortener.text(text) == short
    assert len(shortener.shortened) == 1
    assert shortener.text(short) == short, "once is enough"
    assert PathShortener(keep=True).text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "irds:beir/scifact/test",
        "owner/name",
        "file:acme/qrels.txt",
        "https://example.org/a/b/c",
        "and/or/neither",
        "3 / 4",
        "./data/rows.jsonl",
        "../data/rows.jsonl",
        "about ~5 minutes",
        "~5 minutes",
        "",
        "/",
        "nDCG@10",
    ],
)
def test_what_is_no_absolute_path_stays(text: str) -> None:
    shortener = PathShortener()
    assert shortener.text(text) == text
    assert not shortener.shortened


def test_a_home_with_spaces_is_shortened_within_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/Ann of Acme")
    text = "error in /home/Ann of Acme/docs.jsonl, line 3"
    assert PathShortener().text(text) == "error in …/docs.jsonl, line 3"


def test_values_of_json_are_shortened_and_keys_stay() -> None:
    value = {"/a/b": [{"x": f"/home/{SECRET}/y"}, 3, None, True]}
    assert PathShortener().value(value) == {"/a/b": [{"x": "…/y"}, 3, None, True]}


@pytest.mark.parametrize(
    "toml",
    [
        f'train = "/home/{SECRET}/rows.jsonl"',
        f"train = '/home/{SECRET}/rows.jsonl'",
        f'train = """/home/{SECRET}/rows.jsonl"""',
        f"train = '''\n/home/{SECRET}/rows.jsonl'''",
        f'train = "/home/{SECRET}/r\\u00f6ws.jsonl" # a comment',
        f'[a]\nb = ["x", {{c = "/home/{SECRET}/rows \\"1\\".jsonl"}}]',
    ],
)
def test_strings_of_a_recipe_are_shortened(toml: str) -> None:
    short = PathShortener().toml(toml)
    assert SECRET not in short
    assert "…/r" in json.dumps(tomllib.loads(short), ensure_ascii=False)


def test_a_path_that_cannot_be_replaced_is_refused() -> None:
    hidden = f'train = """\nin \\u002fhome/{SECRET}/rows"""'
    with pytest.raises(DataError, match="cannot be shortened"):
        PathShortener().toml(hidden)
    assert PathShortener(keep=True).toml(hidden) == hidden
