"""Texts in memory as corpora and query sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.in_memory import memory_corpus, memory_queries
from hypencli.data.queries import open_queries
from hypencli.errors import DataError
from hypencli.records import Document


def test_a_dictionary_keeps_its_ids_and_order() -> None:
    corpus = memory_corpus({"b": " second ", "a": "first", 7: "number"})  # type: ignore[dict-item]
    documents = [Document("b", "second"), Document("a", "first"), Document("7", "number")]
    assert list(corpus) == list(corpus) == documents
    assert corpus.count == 3
    assert (corpus.queries, corpus.qrels, corpus.skipped) == (None, None, None)
    assert corpus.id_prefix == "memory"


def test_texts_alone_are_numbered_as_lines_of_a_file_are(tmp_path: Path) -> None:
    texts = ["what is river", "what is moon"]
    (tmp_path / "plain").write_text("\n".join(texts), encoding="utf-8")
    in_memory = memory_queries(text for text in texts)
    of_file = open_queries(tmp_path / "plain")
    assert in_memory.queries == of_file.queries
    assert in_memory.fingerprint == of_file.fingerprint
    assert in_memory.id == "memory"


def test_other_texts_or_another_order_are_another_corpus(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"id": "a", "text": "one"}\n', encoding="utf-8")
    corpora = [
        memory_corpus({"a": "one", "b": "two"}),
        memory_corpus({"b": "two", "a": "one"}),
        memory_corpus({"a": "one", "b": "too"}),
        memory_corpus({"ao": "ne", "b": "two"}),
        open_corpus(tmp_path / "docs.jsonl"),
    ]
    assert len({corpus.fingerprint for corpus in corpora}) == 5
    assert len({corpus.corpus_id for corpus in corpora}) == 5
    assert memory_corpus({"a": "one", "b": "two"}).corpus_id == corpora[0].corpus_id


@pytest.mark.parametrize("texts", [[], {}, {"a": None}, [5], [b"x"], {"": "x"}, {None: "x"}])
@pytest.mark.parametrize("read", [memory_corpus, memory_queries])
def test_what_is_no_text_is_refused(read: object, texts: object) -> None:
    with pytest.raises(DataError):
        read(texts)  # type: ignore[operator]


@pytest.mark.parametrize("read", [memory_corpus, memory_queries])
def test_half_a_surrogate_pair_and_a_repeated_id_are_refused(read: object) -> None:
    with pytest.raises(DataError, match="surrogate"):
        read(["\ud800"])  # type: ignore[operator]
    with pytest.raises(DataError, match="twice"):
        read({1: "a", "1": "b"})  # type: ignore[operator]
