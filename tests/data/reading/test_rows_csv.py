"""CSV with a header as corpus and as queries."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.corpus import open_corpus
from hypencli.data.queries import open_queries
from hypencli.errors import DataError
from hypencli.records import Document, Query

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def run(content: str, name: str = "c.csv") -> Path:
        path = tmp_path / name
        raw = content.encode("utf-8")
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return run


def test_the_first_line_names_the_columns(write: Write) -> None:
    path = write('id,url,title,text\n1,u,T,"one, two"\n2,u,,"he said ""no"""\n')
    corpus = open_corpus(path)
    assert list(corpus.read()) == [Document("1", "T one, two"), Document("2", 'he said "no"')]
    assert corpus.count == 2


def test_a_cell_may_have_several_lines_and_blank_ones(write: Write) -> None:
    path = write('\ufeffid,text\r\n\r\na,"one\r\n\r\n  two"\r\nb,three\r\n')
    corpus = open_corpus(path)
    assert list(corpus.read()) == [Document("a", "one\n\n  two"), Document("b", "three")]
    assert corpus.count == 2


def test_semicolons_and_gzip(write: Write) -> None:
    path = write("doc_id;contents\n1;one, two\n", "c.csv.gz")
    assert list(open_corpus(path).read()) == [Document("1", "one, two")]


def test_named_columns(write: Write) -> None:
    path = write("docno,body\n1,one\n")
    with pytest.raises(DataError, match=r"line 1: its keys are 'docno', 'body': none of 'id'"):
        list(open_corpus(path))
    assert list(open_corpus(path, id_key="docno", text_key="body")) == [Document("1", "one")]


def test_queries(write: Write) -> None:
    path = write('qid,query\nq1,"what is, a river"\n', "queries.csv")
    assert list(open_queries(path)) == [Query("q1", "what is, a river")]


def test_queries_without_a_header_are_no_texts(write: Write) -> None:
    with pytest.raises(DataError, match="none of 'id'"):
        open_queries(write("q1,what is a river\nq2,what is a star\n", "queries.csv"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\na,x\nb\n", "line 3: 1 columns, expected 2"),
        ("id,text\na,x\nb,x,y\n", "line 3: 3 columns, expected 2"),
        ('id,text\na,x\nb,"y\nz\n', "line 3: not valid CSV: unexpected end of data"),
        ('id,text\na,x\nb,"y"z\n', "line 3: not valid CSV: ',' expected after '\"'"),
        ("id,text\na,x\n,y\n", "line 3: an id must be a text"),
        ('id,text\na,"x\n\n"\na,y\n', "'a' is there twice, at lines 2 and 5"),
    ],
)
def test_a_wrong_record_is_named(write: Write, content: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        list(open_corpus(write(content)))
    assert message in caught.value.message


def test_records_without_a_document_are_skipped_if_asked(write: Write) -> None:
    corpus = open_corpus(write("id,text\na,x\nb\nc,y\n"), on_error="skip")
    assert [document.doc_id for document in corpus.read()] == ["a", "c"]
    assert corpus.skipped is not None
    assert corpus.skipped.count == 1


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")), min_size=1)
)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(
        [("id", "text"), *((str(place), text) for place, text in enumerate(texts))]
    )
    path = tmp_path_factory.mktemp("csv") / "c.csv"
    path.write_text(written.getvalue(), encoding="utf-8", newline="")
    read = [document.text for document in open_corpus(path).read()]

    def plain(text: str) -> str:
        """A line of white space alone is read as a blank one."""
        lines = text.split("\n")
        inner = [line if line.strip(" \t\n\r\x0b\x0c") else "" for line in lines[1:-1]]
        return "\n".join([lines[0], *inner, *lines[-1:]][: len(lines)]).strip()

    assert read == [plain(text) for text in texts]
