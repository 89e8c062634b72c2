"""The record of a prepared dataset: there and back, and told from other files of the name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.queries import open_queries
from hypencli.data.reading.dataset_record import (
    RECORD_NAME,
    DatasetRecord,
    PartRecord,
    file_hashes,
    read_record,
    write_record,
)
from hypencli.errors import DataError

RECORD = DatasetRecord(
    name="tot-train",
    settings={"from": None, "seed": 42, "lenient": False},
    sources=("hub:me/rows",),
    corpus="irds:vaswani",
    parts={"train": PartRecord({"rows": 3}, {"repeated": 1})},
    faults={"empty texts": (2, "x.jsonl, line 1")},
    files={"train.jsonl": "0" * 64},
    provenance={"hype": "0.2.0"},
)


def test_a_record_comes_back(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is not the record of a prepared dataset"),
        ("[]", "is not the record of a prepared dataset"),
        ('{"format_version": 1, "name": "x"}', "KeyError: 'settings'"),
        ('{"format_version": 2}', "is of format 2; this version reads formats up to 1"),
    ],
)
def test_another_file_of_the_name_is_refused(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=problem):
        read_record(tmp_path)


def test_files_are_hashed_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "y").write_bytes(b"1")
    (tmp_path / "a").write_bytes(b"2")
    assert list(file_hashes(tmp_path).items()) == [
        ("a", hashlib.sha256(b"2").hexdigest()),
        ("b/y", hashlib.sha256(b"1").hexdigest()),
    ]


def test_queries_of_a_folder_are_asked_of_the_corpus_that_its_record_names(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"id": "1", "text": "x"}\n', encoding="utf-8")
    assert open_queries(tmp_path).corpus_id == f"folder:{tmp_path.name}"
    write_record(tmp_path, RECORD)
    assert open_queries(tmp_path).corpus_id == "irds:vaswani"
    with pytest.raises(DataError, match="its queries are asked of irds:vaswani") as caught:
        open_corpus(tmp_path)
    assert caught.value.hint == "Name that: vaswani"
    (tmp_path / RECORD_NAME).write_text(
        json.dumps(json.loads((tmp_path / RECORD_NAME).read_text()) | {"corpus": None})
    )
    with pytest.raises(DataError, match=r"no corpus.jsonl in this folder"):
        open_corpus(tmp_path)
