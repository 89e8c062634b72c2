"""Standard input as a corpus."""

from __future__ import annotations

import gc
import gzip
import io
import sys
import tempfile
from pathlib import Path

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.errors import DataError
from hypencli.records import Document

CONTENT = b'{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n'


@pytest.mark.parametrize(
    "content",
    [CONTENT, gzip.compress(CONTENT), b"a\tone\nb\ttwo\n"],
    ids=["JSONL", "gzip", "TSV"],
)
def test_standard_input_is_read_as_a_file(content: bytes) -> None:
    corpus = open_corpus("-", stdin=io.BytesIO(content))
    assert (corpus.id, corpus.corpus_id, corpus.id_prefix, corpus.count) == (
        "stdin",
        "stdin",
        "stdin",
        2,
    )
    for _ in range(2):
        assert list(corpus.read()) == [Document("a", "one"), Document("b", "two")]


def test_it_has_the_fingerprint_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(CONTENT)
    stream = io.BytesIO(CONTENT)
    assert open_corpus("-", stdin=stream).fingerprint == open_corpus(path).fingerprint


def test_errors_name_it() -> None:
    with pytest.raises(DataError, match=r"^standard input, line 2: not valid JSON"):
        list(open_corpus("-", stdin=io.BytesIO(CONTENT[:40])))
    with pytest.raises(DataError, match=r"^standard input: the file is empty"):
        list(open_corpus("-", stdin=io.BytesIO(b"")))


def test_the_temporary_file_goes_with_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    corpus = open_corpus("-", stdin=io.BytesIO(CONTENT))
    assert corpus.count == 2
    assert len(list(tmp_path.iterdir())) == 1
    del corpus
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_closed_standard_input_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="Standard input is closed"):
        open_corpus("-")
