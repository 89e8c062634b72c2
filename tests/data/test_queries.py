"""Query sets from files, folders and standard input."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.queries import open_queries, query_set
from hypencli.errors import DataError
from hypencli.records import Query


def piped(text: str, **keys: str) -> list[Query]:
    return list(open_queries("-", stdin=io.BytesIO(text.encode()), **keys))


def test_standard_input_as_jsonl() -> None:
    assert piped('{"id": 3, "text": "what"}\n{"id": "x", "text": "why"}') == [
        Query("3", "what"),
        Query("x", "why"),
    ]


def test_standard_input_as_tsv() -> None:
    assert piped("3\twhat\n4\twhy\n") == [Query("3", "what"), Query("4", "why")]


def test_standard_input_as_plain_lines_counts_queries() -> None:
    assert piped("\ufeffwhat is\r\n\r\n  why \n") == [Query("1", "what is"), Query("2", "why")]


def test_standard_input_is_named_in_errors() -> None:
    with pytest.raises(DataError, match="standard input, line 3: a tab here"):
        piped("what\n\nid\twhy\n")
    with pytest.raises(DataError, match="standard input: the file is empty"):
        piped("\n")
    with pytest.raises(DataError, match="standard input, line 2: not valid JSON"):
        piped('{"id": 1, "text": "x"}\n{\n')


def test_the_set_knows_itself() -> None:
    queries = open_queries("-", stdin=io.BytesIO(b"what\n"))
    assert (queries.id, len(queries), queries.corpus_id, queries.qrels) == ("stdin", 1, None, None)


@pytest.mark.parametrize("id_key", ["id", "_id", "query_id", "qid"])
@pytest.mark.parametrize("text_key", ["text", "content", "contents", "query"])
def test_usual_keys_are_found(tmp_path: Path, id_key: str, text_key: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({id_key: 1, text_key: "what", "title": "not read"}))
    assert list(open_queries(path)) == [Query("1", "what")]


def test_named_keys_are_read(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"id": 1, "n": "a", "text": "short", "narrative": "long"}))
    assert list(open_queries(path, id_key="n", text_key="narrative")) == [Query("a", "long")]


def test_an_id_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "q.tsv"
    path.write_text("a\tx\nb\ty\n\na\tz\n")
    with pytest.raises(DataError, match=r"q\.tsv: the id 'a' is there twice, at lines 1 and 4"):
        open_queries(path)


def test_the_fingerprint_is_of_ids_and_texts_not_of_the_file(tmp_path: Path) -> None:
    tsv, jsonl = tmp_path / "q.tsv", tmp_path / "q.jsonl"
    tsv.write_text("1\twhat\n2\twhy\n")
    jsonl.write_text('{"id": 1, "text": "what"}\n{"id": 2, "text": "why"}\n')
    assert open_queries(tsv).fingerprint == open_queries(jsonl).fingerprint
    assert open_queries(tsv).id != open_queries(jsonl).id
    moved = query_set("x", [Query("1", "wha"), Query("t2", "why")])
    assert moved.fingerprint != query_set("x", [Query("1", "what"), Query("2", "why")]).fingerprint


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "scifact"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "title": "T", "text": "x"}\n')
    lines = [json.dumps({"_id": f"q{i}", "text": f"claim {i}", "metadata": {}}) for i in range(4)]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq3\td1\t0\n")
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td1\t1\n")
    return folder


def test_judgements_that_are_named_replace_those_of_a_folder(beir: Path) -> None:
    named = beir / "qrels" / "train.tsv"
    assert [query.query_id for query in open_queries(beir, judged_by=named)] == ["q0"]
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\tbroken\n")
    with pytest.raises(DataError, match=r"test\.tsv, line 2"):
        open_queries(beir)
    assert [query.query_id for query in open_queries(beir, judged_by=named)] == ["q0"]
    named.write_text("q9 0 d1 1\n")
    with pytest.raises(DataError, match="none of its queries is judged in the judgements named"):
        open_queries(beir, judged_by=named)


def test_a_beir_folder_gives_the_judged_queries_of_its_test_split(beir: Path) -> None:
    queries = open_queries(beir)
    assert [query.query_id for query in queries] == ["q1", "q3"]
    assert queries.id == queries.corpus_id == open_corpus(beir).corpus_id == "folder:scifact"
    assert queries.qrels == str(beir / "qrels" / "test.tsv")


def test_all_queries_of_a_beir_folder_by_file(beir: Path) -> None:
    assert len(open_queries(beir / "queries.jsonl")) == 4


def test_a_folder_without_judgements_gives_all_queries(beir: Path) -> None:
    for path in (beir / "qrels").iterdir():
        path.unlink()
    queries = open_queries(beir)
    assert len(queries) == 4
    assert queries.qrels is None


def test_paths_that_are_handed_on_hold_from_any_folder(
    beir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(beir)
    corpus, queries = open_corpus("."), open_queries(".")
    monkeypatch.chdir("/")
    assert corpus.queries is not None
    assert open_queries(corpus.queries) == queries
    assert corpus.qrels == queries.qrels == str(beir / "qrels" / "test.tsv")


def test_judgements_of_other_queries_are_an_error(beir: Path) -> None:
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nz\td1\t1\n")
    with pytest.raises(DataError, match="none of its queries is judged"):
        open_queries(beir)


def test_a_folder_without_queries_is_an_error(beir: Path) -> None:
    (beir / "queries.jsonl").unlink()
    assert open_corpus(beir).queries is None
    with pytest.raises(
        DataError, match=r"no queries\.jsonl in this folder; it holds corpus\.jsonl"
    ):
        open_queries(beir)
