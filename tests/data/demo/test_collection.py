"""The demo's corpus: read from sources alone, and split so that no answer holds its question."""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import pytest

from hypencli.data.demo import (
    DemoCollection,
    build_docstring_collection,
    write_docstring_collection,
)
from hypencli.data.demo.collection import part_of, select_pairs
from hypencli.data.demo.docstrings import Symbol
from hypencli.data.demo.questions import GRADES, read_questions
from hypencli.data.qrels import read_qrels
from hypencli.data.training import read_training_rows


@pytest.fixture(scope="session")
def collection() -> DemoCollection:
    return build_docstring_collection()


def test_nothing_is_imported() -> None:
    before = set(sys.modules)
    build_docstring_collection()

    assert not {"antigravity", "tkinter", "idlelib"} & (set(sys.modules) - before)


def test_the_counts_are_plausible(collection: DemoCollection) -> None:
    assert 4_500 < len(collection.documents) < 5_500
    assert 1_700 < len(collection.passages) < 2_200
    assert len(collection.training) > 2_000
    assert len(collection.validation) > 120
    assert len(collection.heldout) > 300


def test_two_builds_are_equal(collection: DemoCollection) -> None:
    assert build_docstring_collection(Path(sysconfig.get_path("stdlib"))) == collection


def test_ids_are_unique_and_in_order(collection: DemoCollection) -> None:
    for corpus in (collection.documents, collection.passages):
        ids = [document.doc_id for document in corpus]
        assert ids == sorted(set(ids))
        assert all(re.fullmatch(r"[\w.]+", name) for name in ids)
    for judged in (collection.validation, collection.heldout, collection.questions):
        ids = [query.query_id for query in judged.queries]
        assert len(set(ids)) == len(ids)
        assert set(judged.qrels) == set(ids)


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")


def test_no_passage_holds_a_held_out_query(collection: DemoCollection) -> None:
    everything = "\n".join(_plain(document.text) for document in collection.passages)

    for judged in (collection.validation, collection.heldout):
        held = [query.text for query in judged.queries if _plain(query.text) in everything]
        assert held == []


def test_training_never_meets_what_is_held_out(collection: DemoCollection) -> None:
    rows = collection.training
    trained = {item.id.removesuffix("#summary") for row in rows for item in row.items}
    paragraphs = {
        _plain(paragraph)
        for row in rows
        for text in (row.query.text, *(item.content for item in row.items))
        for paragraph in text.split("\n\n")
    }
    for judged in (collection.validation, collection.heldout):
        answers = {name for judgements in judged.qrels.values() for name in judgements}
        assert not answers & trained
        assert not {_plain(query.text) for query in judged.queries} & paragraphs


def test_a_positive_does_not_hold_its_query(collection: DemoCollection) -> None:
    for row in collection.training:
        positive = row.items[0]
        assert positive.type == "positive"
        assert _plain(row.query.text) not in _plain(positive.content)


def test_test_sets_ask_only_for_what_their_corpus_has(collection: DemoCollection) -> None:
    passages = {document.doc_id for document in collection.passages}
    documents = {document.doc_id for document in collection.documents}

    for judged in (collection.validation, collection.heldout):
        assert all(set(judgements) <= passages for judgements in judged.qrels.values())
    assert all(set(judged) <= documents for judged in collection.questions.qrels.values())


def test_there_are_enough_questions_and_every_one_has_an_answer(collection: DemoCollection) -> None:
    qrels = collection.questions.qrels

    assert len(collection.questions) >= 60
    assert all(2 in judged.values() for judged in qrels.values())
    assert {grade for judged in qrels.values() for grade in judged.values()} == GRADES
    texts = [query.text for query in collection.questions.queries]
    assert len(set(texts)) == len(texts)


@pytest.mark.skipif(sys.version_info[:2] >= (3, 13), reason="pathlib is split in two there")
def test_every_judged_symbol_is_on_this_python(collection: DemoCollection) -> None:
    assert collection.notes == ()


def test_symbols_that_are_not_there_are_dropped_with_a_note() -> None:
    queries, qrels, notes = read_questions({"csv", "shutil.rmtree"})

    assert [query.text for query in queries] == [
        "how do I read a CSV file as dictionaries?",
        "how can I delete a folder and everything in it?",
    ]
    assert list(qrels.values()) == [{"csv": 2}, {"shutil.rmtree": 2}]
    assert "q001: csv.Sniffer is not on this Python" in notes
    assert any(note.startswith("q002: left out") for note in notes)


def _symbol(name: str, *paragraphs: str) -> Symbol:
    return Symbol(name, "function", f"{name}()", paragraphs)


REST = "This is the rest of the docstring, which is long enough to be found."


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        ([_symbol("a", "Do one thing well.", REST)], ["a"]),
        ([_symbol("a", "Do it.", REST)], []),
        ([_symbol("a", "Do one thing well.", "Too short.")], []),
        ([_symbol("a", "Do one thing well.")], []),
        ([_symbol("a", "Do one thing well.", REST + " Do one thing well.")], []),
        ([_symbol("a", "Do one thing well.", REST), _symbol("b", "do one thing  well", REST)], []),
        (
            [
                _symbol("a", "Do one thing well.", REST),
                _symbol("b", "Do another thing well.", REST + " do one thing well: no."),
            ],
            ["b"],
        ),
    ],
)
def test_pairs_can_be_asked(symbols: list[Symbol], expected: list[str]) -> None:
    assert [symbol.name for symbol in select_pairs(symbols)] == expected


def test_the_part_of_a_pair_depends_on_its_name_alone() -> None:
    names = [f"module.name{i}" for i in range(2_000)]
    shares = {
        part: sum(part_of(name) == part for name in names) / len(names)
        for part in ("training", "validation", "heldout")
    }

    assert shares["heldout"] == pytest.approx(0.20, abs=0.03)
    assert shares["validation"] == pytest.approx(0.10, abs=0.03)
    assert part_of("csv") == part_of("csv")


def test_what_is_written_can_be_read(collection: DemoCollection, tmp_path: Path) -> None:
    from hypencli.data.corpus import open_corpus
    from hypencli.data.queries import open_queries

    files = write_docstring_collection(collection, tmp_path / "data")

    assert tuple(open_corpus(files.documents)) == collection.documents
    assert tuple(open_corpus(files.passages)) == collection.passages
    assert tuple(read_training_rows(files.training)) == collection.training
    for name, judged in (("heldout", collection.heldout), ("questions", collection.questions)):
        assert open_queries(files.queries[name]).queries == judged.queries
        assert read_qrels(files.qrels[name]).qrels == judged.qrels
