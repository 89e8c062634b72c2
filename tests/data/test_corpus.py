"""Corpora in files and folders: keys, formats, and every way a file can be wrong."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hypencli.data.corpus import Corpus, open_corpus
from hypencli.data.reading.base import ContentChanged, Source
from hypencli.data.reading.rows import Fields, TextRow
from hypencli.data.reading.skipped_lines import OnMalformed
from hypencli.errors import DataError
from hypencli.records import Document


def jsonl(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def texts(path: Path, **keys: str) -> list[str]:
    return [document.text for document in open_corpus(path, **keys)]


@pytest.mark.parametrize("id_key", ["id", "_id", "doc_id"])
@pytest.mark.parametrize("text_key", ["text", "content", "contents"])
def test_usual_keys_are_found(tmp_path: Path, id_key: str, text_key: str) -> None:
    path = jsonl(tmp_path / "c.jsonl", {id_key: "a", text_key: "one", "url": "x"})
    assert list(open_corpus(path)) == [Document("a", "one")]


def test_named_keys_are_read(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "c.jsonl", {"id": 1, "docno": "a", "text": "no", "body": "yes"})
    corpus = open_corpus(path, id_key="docno", text_key="body")
    assert list(corpus) == [Document("a", "yes")]


@pytest.mark.parametrize(
    ("record", "message", "hint"),
    [
        ({"key": "a", "text": "x"}, "'key', 'text': none of 'id' or '_id'", "`id_key=KEY`"),
        ({"id": "a", "_id": "b", "text": "x"}, "several of 'id' or '_id'", "`id_key=KEY`"),
        ({"id": "a", "body": "x"}, "none of 'text' or 'content'", "`text_key=KEY`"),
        ({"id": "a", "text": "x", "contents": "y"}, "several of 'text'", "`text_key=KEY`"),
        ({}, "its keys are none", "`id_key=KEY`"),
    ],
)
def test_unclear_keys_are_never_guessed(
    tmp_path: Path, record: dict[str, str], message: str, hint: str
) -> None:
    path = jsonl(tmp_path / "c.jsonl", record)
    with pytest.raises(DataError, match=rf"c\.jsonl, line 1: .*{message}") as caught:
        list(open_corpus(path))
    assert hint in str(caught.value.hint)


def test_a_named_key_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "c.jsonl", {"id": "a", "text": "x"})
    with pytest.raises(DataError, match="no key 'body'; its keys are 'id', 'text'"):
        list(open_corpus(path, text_key="body"))


def test_titles_come_first_as_published(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "c.jsonl",
        {"_id": "a", "title": " T ", "text": " x "},
        {"_id": "b", "title": "", "text": " x "},
        {"_id": "c", "title": None, "text": "x"},
        {"_id": "d", "text": "x"},
        {"_id": "e", "title": "T", "text": ""},
    )
    assert texts(path) == ["T   x", "x", "x", "x", "T"]
    assert texts(path, title_key="") == ["x", "x", "x", "x", ""]


def test_another_title_key(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "c.jsonl", {"id": 1, "headline": "H", "title": "T", "text": "x"})
    assert texts(path, title_key="headline") == ["H x"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ('{"id": "b"', "not valid JSON"),
        ('{"id": "b"}', "no 'text' here; its keys are 'id'"),
        ('{"text": "b"}', "no 'id' here"),
        ('{"id": "", "text": "x"}', "'id': an id must be a text or an integer"),
        ('{"id": 1.5, "text": "x"}', "an id must be a text or an integer, not 1.5"),
        ('{"id": true, "text": "x"}', "an id must be a text or an integer, not True"),
        ('{"id": null, "text": "x"}', "not None"),
        ('{"id": "b", "text": null}', "'text': a text was expected, not None"),
        ('{"id": "b", "text": ["x"]}', "a text was expected"),
        ('{"id": "b", "text": "x", "title": 3}', "'title': a text was expected, not 3"),
        ('{"id": "b", "text": "\\ud800"}', "half a surrogate pair"),
        ('{"id": "\\udfff", "text": "x"}', "half a surrogate pair"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, second: str, message: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(f'{{"id": "a", "text": "x"}}\n\n{second}\n', encoding="utf-8")
    documents = iter(open_corpus(path))
    assert next(documents).doc_id == "a"
    with pytest.raises(DataError, match=rf"c\.jsonl, line 3.*{message}"):
        next(documents)


def test_texts_of_every_kind_pass(tmp_path: Path) -> None:
    odd = ["", "🦜🦜", "a\tb\nc\"d'", "\u202eright to left", "nul \x00 within", "x " * 100_000]
    path = jsonl(tmp_path / "c.jsonl", *({"id": i, "text": text} for i, text in enumerate(odd)))
    assert texts(path) == [text.strip() for text in odd]


def test_odd_ids_pass(tmp_path: Path) -> None:
    odd = ["a\tb", "a\nb", '"', "'; DROP TABLE runs; --", "../../etc", " ", "🦜"]
    path = jsonl(tmp_path / "c.jsonl", *({"id": one, "text": "x"} for one in odd))
    assert [document.doc_id for document in open_corpus(path)] == odd


def test_an_integer_id_and_its_text_are_one_id(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "c.jsonl", {"id": 7, "text": "x"}, {"id": "7", "text": "y"})
    with pytest.raises(DataError, match="'7' is there twice, at lines 1 and 2"):
        list(open_corpus(path))


@pytest.mark.parametrize("content", [b"", b"\n\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(content)
    corpus = open_corpus(path)
    assert corpus.count == 0
    with pytest.raises(DataError, match=r"c\.jsonl: the file is empty"):
        list(corpus)


def test_tsv_of_two_columns(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("1\tone\n{2}\t {two} \n\n3\t\n", encoding="utf-8")
    corpus = open_corpus(path)
    assert list(corpus) == [Document("1", "one"), Document("{2}", "{two}"), Document("3", "")]
    assert corpus.count == 3


def test_tsv_with_a_header_that_names_the_usual_keys(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("id\turl\ttitle\ttext\n1\tu\tT\tone\n", encoding="utf-8")
    corpus = open_corpus(path)
    assert list(corpus) == [Document("1", "T one")]
    assert corpus.count == 1


def test_tsv_with_keys_has_a_header(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("docno\tbody\n1\tone\n", encoding="utf-8")
    corpus = open_corpus(path, id_key="docno", text_key="body")
    assert list(corpus) == [Document("1", "one")]
    assert corpus.count == 1
    with pytest.raises(DataError, match="no key 'headline'; its keys are 'docno', 'body'"):
        list(open_corpus(path, id_key="docno", text_key="headline"))


@pytest.mark.parametrize("second", ["2", "2\ttwo\tmore", "\ttwo"])
def test_tsv_of_another_width_is_an_error(tmp_path: Path, second: str) -> None:
    path = tmp_path / "c.tsv"
    path.write_text(f"1\tone\n{second}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"c\.tsv, line 2: (\d columns, expected 2|an id must)"):
        list(open_corpus(path))


@pytest.mark.parametrize("content", ['{"id": 1, "text": "x"}\n', "1\tx\n"])
def test_a_file_of_another_name_is_read_by_its_content(tmp_path: Path, content: str) -> None:
    path = tmp_path / "documents"
    path.write_text(content, encoding="utf-8")
    assert list(open_corpus(path)) == [Document("1", "x")]


def test_prose_is_not_a_corpus(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary,\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: neither JSON nor tab-separated"):
        list(open_corpus(path))


def test_the_fingerprint_is_of_content_and_reading(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "one.jsonl", {"id": 1, "text": "x", "other": "y"})
    packed = tmp_path / "two.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    fingerprint = open_corpus(path).fingerprint
    assert open_corpus(packed).fingerprint == fingerprint
    assert open_corpus(path, text_key="other").fingerprint != fingerprint
    assert open_corpus(path, title_key="").fingerprint != fingerprint
    changed = jsonl(tmp_path / "three.jsonl", {"id": 1, "text": "x", "other": "z"})
    assert open_corpus(changed).fingerprint != fingerprint


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for i in range(20_000):
            out.write(json.dumps({"id": i, "text": "word " * 100}) + "\n")
    tracemalloc.start()
    total = sum(len(document.text) for document in open_corpus(path))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 20_000 * 499
    assert peak_bytes < 4 * 2**20


def test_a_folder_without_a_corpus_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"no corpus\.jsonl in this folder; it holds notes\.txt"):
        open_corpus(tmp_path)


def test_reading_files_imports_neither_ir_datasets_nor_arrow(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "c.jsonl", {"id": 1, "text": "x"})
    code = (
        "import sys; from hypencli.data.corpus import open_corpus\n"
        "heavy = {'ir_datasets', 'numpy', 'pyarrow', 'torch'}\n"
        f"corpus = open_corpus({str(path)!r}); assert corpus.count == 1\n"
        "next(iter(corpus))\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Listed(Source):
    """Documents of a list, which a test changes."""

    prefix = "listed"

    def __init__(self, *texts: str) -> None:
        super().__init__("x")
        self.texts = list(texts)
        self.said: int | None = None

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        for place, text in enumerate(self.texts, start=1):
            yield TextRow(place, str(place), text)

    def count(self, fields: Fields) -> int | None:
        return self.said


class Versioned(Listed):
    """The same with a content of its own."""

    version = "1"

    def content(self, fields: Fields) -> Mapping[str, str]:
        return {"version": self.version}


@pytest.mark.parametrize("limit", [None, 1])
def test_documents_of_any_source_are_compared_with_the_fingerprint(limit: int | None) -> None:
    source = Listed("a", "b")
    corpus = Corpus(source, Fields())
    assert corpus.fingerprint
    assert len(list(corpus.read(limit))) == (limit or 2)
    source.texts[1] = "c"
    reading = corpus.read(limit)
    assert next(reading).text == "a"
    with pytest.raises(ContentChanged, match="listed:x was changed while it was read"):
        list(reading)


def test_a_content_of_its_own_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(Versioned("a", "b"), Fields())
    assert len(list(corpus.read())) == 2
    monkeypatch.setattr(Versioned, "version", "2")
    with pytest.raises(ContentChanged):
        list(corpus.read())


def test_the_number_of_documents_is_compared() -> None:
    source = Listed("a", "b")
    source.said = 3
    corpus = Corpus(source, Fields())
    with pytest.raises(DataError, match="2 documents were read, and it says that it has 3") as told:
        list(corpus.read())
    assert "`limit=2`" in str(told.value.hint)
    assert len(list(corpus.read(2))) == 2
