"""Judgements in three formats, told apart by content."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.qrels import fingerprint, read_qrels
from hypencli.data.reading.judgements import MAX_GRADE
from hypencli.errors import DataError

BEIR = "query-id\tcorpus-id\tscore\n"


def write(folder: Path, content: str, name: str = "qrels.txt") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "content",
    [
        "q1 0 d1 1\nq1\tQ0\td2\t-1\n\nq2 0 d1 3\n",
        "\ufeff# by hand\nq1 0 d1 1\r\n# again\nq1 0 d2 -1\r\nq2 0 d1 3\r\n",
        f"{BEIR}q1\td1\t1\nq1\td2\t-1\nq2\td1\t3\n",
        "qid\tpid\tscore\nq1\td1\t1\nq1\td2\t-1\nq2\td1\t3\n",
        "Query Doc\tDocument\tRelevance (0-3)\nq1\td1\t1\nq1\td2\t-1\nq2\td1\t3\n",
        "qid pid score\nq1 d1 1\nq1  d2 -1\n\nq2 d1 3\n",
        '{"q1": {"d1": 1, "d2": -1}, "q2": {"d1": 3}}',
        '{"q2": {"d1": 3.0},\n "q1": {"d2": -1, "d1": 1}}',
    ],
)
def test_every_format_gives_the_same(tmp_path: Path, content: str) -> None:
    qrels, identifier, hashed = read_qrels(write(tmp_path, content))
    assert qrels == {"q1": {"d1": 1, "d2": -1}, "q2": {"d1": 3}}
    assert identifier == f"file:{tmp_path.name}/qrels.txt"
    assert hashed == fingerprint({"q2": {"d1": 3}, "q1": {"d2": -1, "d1": 1}})


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "judged.gz"
    path.write_bytes(gzip.compress(b"q1 0 d1 1\n"))
    assert read_qrels(path).qrels == {"q1": {"d1": 1}}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1 0 d2", "3 columns, TREC qrels have 4"),
        ("q1 0 d2 1 junk", "5 columns, TREC qrels have 4"),
        ("q1 0 d2 high", "a grade must be an integer, not 'high'"),
        ("q1 0 d2 1.5", "a grade must be an integer"),
        ("q1 0 d2 nan", "a grade must be an integer"),
        (f"q1 0 d2 {MAX_GRADE + 1}", "beyond 1,000,000"),
        ("q1 0 d2 -99999999999999999999", "beyond 1,000,000"),
        ("q1 0 d1 0", "has grade 0 here and 1 before"),
    ],
)
def test_a_wrong_trec_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = write(tmp_path, f"q1 0 d1 1\n\n{line}\n")
    with pytest.raises(DataError, match=rf"qrels\.txt, line 3: .*{problem}"):
        read_qrels(path)


def test_the_same_judgement_twice_counts_once(tmp_path: Path) -> None:
    assert read_qrels(write(tmp_path, "q 0 d 1\nq 1 d 1\n")).qrels == {"q": {"d": 1}}


@pytest.mark.parametrize("line", ["q1\td2", "q1\t0\td2\t1", "q1 d2 1", "q1\td2\tx"])
def test_a_wrong_beir_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"test\.tsv, line 3: "):
        read_qrels(write(tmp_path, f"{BEIR}q1\td1\t1\n{line}\n", "test.tsv"))


def test_a_first_line_without_its_grade_is_no_header_for_trec_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: 4 columns, BEIR qrels have 3.*first line"):
        read_qrels(write(tmp_path, "q1 0 d1\nq1 0 d2 1\n"))


def test_three_columns_without_a_header_are_refused(tmp_path: Path) -> None:
    """BEIR's loader would take the first judgement for a header, and lose it."""
    with pytest.raises(DataError, match="line 1: 3 columns, TREC qrels have 4") as caught:
        read_qrels(write(tmp_path, "q1\td1\t1\nq1\td2\t1\n"))
    assert "a header of three columns" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"q": {"d": 1}', "not valid JSON"),
        ('[{"q": {"d": 1}}]', "expected TREC"),
        ('{"q": ["d"]}', "query 'q': expected an object"),
        ('{"q": {"d": "1"}, "r": {"d": 0.5}}', "query 'r', document 'd': a grade must be"),
        ('{"q": {"d": true}}', "not True"),
        ('{"q": {"d": NaN}}', "not nan"),
        ('{"q": {"d": Infinity}}', "not inf"),
        ("{}", "no judgements in it"),
        ("{" * 100_000, "not valid JSON"),
    ],
)
def test_wrong_json_is_named(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_qrels(write(tmp_path, content, "qrels.json"))


@pytest.mark.parametrize("content", ["", "# nothing\n", BEIR])
def test_no_judgements_are_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"the file is empty|no judgements"):
        read_qrels(write(tmp_path, content))


def test_a_folder_with_several_splits_asks_which(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    only = write(tmp_path / "qrels", f"{BEIR}q\td\t1\n", "dev.tsv")
    assert read_qrels(tmp_path).qrels == read_qrels(only).qrels
    write(tmp_path / "qrels", f"{BEIR}q\td\t2\n", "train.tsv")
    with pytest.raises(DataError, match=r"no qrels/test\.tsv") as caught:
        read_qrels(tmp_path)
    assert "dev.tsv" in str(caught.value.hint)
    write(tmp_path / "qrels", f"{BEIR}q\td\t3\n", "test.tsv")
    assert read_qrels(tmp_path).qrels == {"q": {"d": 3}}


words = st.text(st.characters(categories=["L", "N", "P"]), min_size=1).filter(
    lambda word: not word.startswith(("#", "{", "[")) and len(word.split()) == 1
)


@given(
    st.dictionaries(
        words,
        st.dictionaries(words, st.integers(-3, 5), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_formats_agree_on_any_judgements(
    tmp_path_factory: pytest.TempPathFactory, qrels: dict[str, dict[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("qrels")
    rows = [(q, d, grade) for q, docs in qrels.items() for d, grade in docs.items()]
    trec = "".join(f"{q} 0 {d} {grade}\n" for q, d, grade in rows)
    beir = BEIR + "".join(f"{q}\t{d}\t{grade}\n" for q, d, grade in reversed(rows))
    read = [
        read_qrels(write(folder, trec, "a.txt")),
        read_qrels(write(folder, beir, "b.tsv")),
        read_qrels(write(folder, json.dumps(qrels), "c.json")),
    ]
    assert [one.qrels for one in read] == [qrels] * 3
    assert len({one.fingerprint for one in read}) == 1
