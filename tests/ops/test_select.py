"""A path as the corpus of a search: the sets that were encoded from what it holds now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypestore

DATA, USAGE = 5, 2
Hype = Callable[..., Any]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    lines = [json.dumps({"id": f"d{i}", "body": f"river water {i}"}) for i in range(5)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def searching(tiny_collection: Path) -> list[list[object]]:
    """The verbs that take a corpus, without it."""
    return [["search", tiny_collection / "queries.jsonl", "-k", 3], ["query", "a river"]]


def encoded(hype: Hype, corpus: Path, store: Path, *more: object) -> str:
    keys = ["--text-key", "body", "--max-length", 16, "--store", store, "--json"]
    return str(hype("encode", corpus, "--model", "hyper", *keys, *more).json["embeddings"])


def test_an_edited_corpus_is_noticed(
    hype: Hype, study: Path, corpus: Path, searching: list[list[object]]
) -> None:
    set_id = encoded(hype, corpus, study)
    common = ["--model", "hyper", "--corpus", corpus, "--store", study]
    for verb in searching:
        assert hype(*verb, *common).code == 0
    corpus.write_text(corpus.read_text().replace("water 3", "water 33"), encoding="utf-8")
    for verb in searching:
        outcome = hype(*verb, *common)
        assert outcome.code == DATA
        assert f"notes.jsonl has changed since {set_id} was encoded from it" in outcome.err
        assert f"hype encode {corpus}" in outcome.err
        assert f"--embeddings {set_id}" in outcome.err
        named = [*common[:2], *common[4:], "--embeddings", set_id]
        assert hype(*verb, *named).code == 0
    again = encoded(hype, corpus, study)
    outcome = hype(*searching[0], *common, "--json").json
    assert (again != set_id, outcome["embeddings"]) == (True, again)


def test_a_copy_of_the_corpus_finds_its_set(
    hype: Hype, study: Path, corpus: Path, searching: list[list[object]], tmp_path: Path
) -> None:
    set_id = encoded(hype, corpus, study)
    copy = shutil.copy(corpus, tmp_path / "copy.jsonl")
    for verb in searching:
        outcome = hype(*verb, "--model", "hyper", "--corpus", copy, "--store", study, "--json").json
        assert outcome["embeddings"] == set_id


def test_another_file_of_the_same_name_is_another_corpus(
    hype: Hype, study: Path, corpus: Path, searching: list[list[object]], tmp_path: Path
) -> None:
    encoded(hype, corpus, study)
    (tmp_path / "other").mkdir()
    other = Path(shutil.copy(corpus, tmp_path / "other"))
    other.write_text('{"id": "x", "body": "bread"}\n', encoding="utf-8")
    outcome = hype(*searching[0], "--model", "hyper", "--corpus", other, "--store", study)
    assert (outcome.code, "has changed since" in outcome.err) == (DATA, True)
    set_id = encoded(hype, other, study)
    outcome = hype(*searching[0], "--model", "hyper", "--corpus", other, "--store", study, "--json")
    assert outcome.json["embeddings"] == set_id


def test_skipped_lines_are_part_of_the_comparison(
    hype: Hype, study: Path, corpus: Path, searching: list[list[object]]
) -> None:
    corpus.write_text(corpus.read_text() + "broken\n", encoding="utf-8")
    set_id = encoded(hype, corpus, study, "--on-error", "skip")
    common = ["--model", "hyper", "--corpus", corpus, "--store", study]
    assert hype(*searching[0], *common, "--json").json["embeddings"] == set_id
    corpus.write_text(corpus.read_text() + "broken too\n", encoding="utf-8")
    assert hype(*searching[0], *common).code == DATA


def test_a_set_that_does_not_say_its_fields_is_used_and_that_is_said(
    hype: Hype, study: Path, corpus: Path, searching: list[list[object]]
) -> None:
    """Sets of earlier versions do not say which fields were read, so they cannot be compared."""
    set_id = encoded(hype, corpus, study)
    path = study / "embeddings" / set_id / "manifest.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["stats"]["corpus_fields"], values["provenance"]["manifest_sha256"]
    path.write_text(json.dumps(values), encoding="utf-8")
    assert hypestore.Store.open(study).get(set_id)
    outcome = hype(*searching[0], "--model", "hyper", "--corpus", corpus, "--store", study)
    assert (outcome.code, f"{set_id} does not say which content" in outcome.err) == (0, True)


def test_a_pipe_is_no_corpus_to_search(
    hype: Hype, study: Path, searching: list[list[object]], tmp_path: Path
) -> None:
    import os

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    outcome = hype(*searching[0], "--model", "hyper", "--corpus", pipe, "--store", study)
    assert (outcome.code, "No embedding set of corpus" in outcome.err) == (USAGE, True)
