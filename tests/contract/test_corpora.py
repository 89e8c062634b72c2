"""What every corpus reader must hold: ir_datasets, JSONL, TSV, gzip, BEIR folder."""

from __future__ import annotations

import gzip
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypencli.data.corpus import Corpus, open_corpus
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.errors import DataError

Documents = list[tuple[str, str]]
Maker = Callable[[Documents, Path], str]

DOCUMENTS: Documents = [
    ("10", "first text"),
    ("9", "second text, with a comma"),
    ("d-3", "third: “quoted”, naïve, 🦜"),
    ("4", "fourth"),
]
"""In an order that no sort gives; texts that each format can hold."""

_names = itertools.count()


def jsonl(documents: Documents, folder: Path) -> str:
    path = folder / "documents.jsonl"
    lines = [json.dumps({"id": one, "text": text}) for one, text in documents]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def jsonl_of_another_machine(documents: Documents, folder: Path) -> str:
    path = folder / "documents.jsonl"
    lines = [
        json.dumps({"doc_id": one, "contents": text}, ensure_ascii=False) for one, text in documents
    ]
    path.write_bytes("".join(["\ufeff", "\r\n\r\n".join(lines), "\r\n"]).encode())
    return str(path)


def jsonl_gz(documents: Documents, folder: Path) -> str:
    plain = Path(jsonl(documents, folder))
    path = plain.with_suffix(".jsonl.gz")
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return str(path)


def tsv(documents: Documents, folder: Path) -> str:
    path = folder / "documents.tsv"
    path.write_text("".join(f"{one}\t{text}\n" for one, text in documents), encoding="utf-8")
    return str(path)


def beir(documents: Documents, folder: Path) -> str:
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    records = [{"_id": one, "title": "", "text": text} for one, text in documents]
    corpus = "\n".join(map(json.dumps, records))
    (folder / "corpus.jsonl").write_text(corpus, encoding="utf-8")
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "what"}\n', encoding="utf-8")
    judged = "query-id\tcorpus-id\tscore\nq1\t10\t1\n"
    (folder / "qrels" / "test.tsv").write_text(judged, encoding="utf-8")
    return str(folder)


def irds(documents: Documents, folder: Path) -> str:
    """A dataset that ir_datasets reads with its own reader, from files of ours."""
    import ir_datasets

    (folder / "queries.tsv").write_text("q1\twhat\n", encoding="utf-8")
    (folder / "qrels.txt").write_text("q1 0 10 1\n", encoding="utf-8")
    dataset = ir_datasets.create_dataset(
        docs_tsv=tsv(documents, folder),
        queries_tsv=str(folder / "queries.tsv"),
        qrels_trec=str(folder / "qrels.txt"),
    )
    name = f"contract-{next(_names)}"
    ir_datasets.registry.register(name, dataset)
    return f"irds:{name}"


MAKERS: dict[str, Maker] = {
    maker.__name__: maker for maker in (jsonl, jsonl_of_another_machine, jsonl_gz, tsv, beir, irds)
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Maker:
    return MAKERS[request.param]


@pytest.fixture
def source(make: Maker, tmp_path: Path) -> str:
    return make(DOCUMENTS, tmp_path)


@pytest.fixture
def corpus(source: str) -> Corpus:
    return open_corpus(source)


def pairs(corpus: Corpus) -> Documents:
    return [(document.doc_id, document.text) for document in corpus]


def test_documents_come_in_their_order_with_their_text(corpus: Corpus) -> None:
    assert pairs(corpus) == DOCUMENTS


def test_it_can_be_read_again_and_twice_at_once(corpus: Corpus) -> None:
    assert pairs(corpus) == pairs(corpus)
    first, second = iter(corpus), iter(corpus)
    next(first)
    assert next(second).doc_id == DOCUMENTS[0][0]
    assert next(first).doc_id == DOCUMENTS[1][0]


def test_reading_is_lazy(corpus: Corpus) -> None:
    documents = iter(corpus)
    assert isinstance(documents, Iterator)
    assert next(documents).doc_id == "10"


def test_the_count_is_exact_where_it_is_known(corpus: Corpus, make: Maker) -> None:
    assert corpus.count == (None if make is irds else len(DOCUMENTS))


def test_names_are_stable_and_the_documents_have_their_own(source: str) -> None:
    one, other = open_corpus(source), open_corpus(source)
    assert one.id == other.id
    assert one.corpus_id == other.corpus_id
    assert one.fingerprint == other.fingerprint
    assert len(one.fingerprint) == 64
    kind, _, name = one.id.partition(":")
    assert kind in {"file", "folder", "irds"}
    assert name
    assert one.id_prefix


def test_the_fingerprint_tells_readings_apart(source: str, corpus: Corpus) -> None:
    assert open_corpus(source, title_key="").fingerprint != corpus.fingerprint


def test_the_fingerprint_tells_contents_apart(make: Maker, corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = open_corpus(make([*DOCUMENTS, ("5", "fifth")], folder))
    assert other.fingerprint != corpus.fingerprint


def test_an_id_that_comes_twice_is_named_with_both_places(make: Maker, tmp_path: Path) -> None:
    corpus = open_corpus(make([*DOCUMENTS, ("9", "again")], tmp_path))
    with pytest.raises(
        DataError, match=r"the id '9' is there twice, at \w+s \d+ and \d+"
    ) as caught:
        list(corpus)
    if make is not jsonl_of_another_machine:  # which has blank lines between
        assert "s 2 and 5." in caught.value.message


def test_a_corpus_without_documents_is_an_error(make: Maker, tmp_path: Path) -> None:
    corpus = open_corpus(make([], tmp_path))
    with pytest.raises(DataError):
        list(corpus)


def test_one_document_is_a_corpus(make: Maker, tmp_path: Path) -> None:
    assert pairs(open_corpus(make(DOCUMENTS[:1], tmp_path))) == DOCUMENTS[:1]


def test_queries_and_judgements_come_with_datasets_that_have_them(
    corpus: Corpus, make: Maker
) -> None:
    if make not in (beir, irds):
        assert corpus.queries is corpus.qrels is None
        return
    assert corpus.queries is not None
    queries = open_queries(corpus.queries)
    assert [(query.query_id, query.text) for query in queries] == [("q1", "what")]
    assert queries.corpus_id == corpus.corpus_id
    assert queries.qrels == corpus.qrels
    assert queries.qrels is not None
    assert read_qrels(queries.qrels).qrels == {"q1": {"10": 1}}


def test_a_source_that_is_gone_is_an_error_of_data(source: str, tmp_path: Path) -> None:
    corpus = open_corpus(source)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    with pytest.raises(DataError):
        list(corpus)
