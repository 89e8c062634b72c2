"""Judgements that are not what they should be: ``hype eval``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Hype

DATA = 5

JUDGED = b"q0 0 d0 1\n"
BEIR = b"query-id\tcorpus-id\tscore\n"

QRELS_REFUSED: dict[str, tuple[bytes, str]] = {
    "3 columns": (JUDGED + b"q0 0 d1\n", "line 2: 3 columns, TREC qrels have 4"),
    "5 columns": (JUDGED + b"q0 0 d1 1 x\n", "line 2: 5 columns, TREC qrels have 4"),
    "beir, 2 columns": (BEIR + b"q0\td1\n", "line 2: 2 columns, BEIR qrels have 3"),
    "huge grade": (JUDGED + b"q0 0 d1 99999999\n", "line 2: grade 99999999 is beyond"),
    "huge negative grade": (JUDGED + b"q0 0 d1 -99999999\n", "line 2: grade -99999999 is beyond"),
    "grade with underscore": (JUDGED + b"q0 0 d1 1_0\n", "line 2: a grade must be an integer"),
    "grade in other digits": (JUDGED + "q0 0 d1 １\n".encode(), "line 2: a grade must be"),
    "grade with point": (JUDGED + b"q0 0 d1 1.0\n", "line 2: a grade must be an integer"),
    "two grades": (JUDGED + b"q0 0 d0 2\n", "line 2: document 'd0' of query 'q0' has grade 2"),
    "two grades, json": (b'{"q0": {"d0": 1, "d0": 2}}', "document 'd0': document 'd0' of query"),
    "empty id": (BEIR + b"\td1\t1\n", "line 2: a query or document without an id"),
    "empty id, json": (b'{"q0": {"": 1}}', "query 'q0', document '': a query or document without"),
    "half a surrogate pair": (b'{"q0": {"\\ud800": 1}}', "half a surrogate pair"),
    "invalid utf-8": (JUDGED + b"q0 0 d\xff 1\n", "line 2: not valid UTF-8"),
    "empty file": (b"", "the file is empty"),
    "nested json": (b'{"q0":' + b"[" * 100_000, "not valid JSON"),
}

QRELS_ACCEPTED: dict[str, bytes] = {
    "byte order mark": b"\xef\xbb\xbf" + JUDGED,
    "crlf": JUDGED.replace(b"\n", b"\r\n"),
    "negative grade": JUDGED + b"q0 0 d1 -2\n",
    "duplicate, equal grade": JUDGED * 2,
    "two objects of one query": b'{"q0": {"d0": 1}, "q0": {"d1": 0}}',
    "nul in an id": JUDGED + b"q0 0 d\x00 0\n",
}


@pytest.mark.parametrize("case", QRELS_REFUSED)
def test_judgements_are_refused_by_line(
    case: str, tmp_path: Path, hype_in_bench: Hype, artifacts: Callable[[], set[str]]
) -> None:
    content, words = QRELS_REFUSED[case]
    path = tmp_path / "judged.txt"
    path.write_bytes(content)
    before = artifacts()
    outcome = hype_in_bench("eval", "hyper-run", "--qrels", path)
    assert outcome.code == DATA, outcome.err
    assert str(path) in outcome.err
    assert words in outcome.err
    assert artifacts() == before


@pytest.mark.parametrize("case", QRELS_ACCEPTED)
def test_odd_judgements_count_once_and_as_they_are(
    case: str, tmp_path: Path, hype_in_bench: Hype
) -> None:
    """All of them judge d0 relevant for q0, and nothing else."""
    path = tmp_path / f"{case}.txt"
    path.write_bytes(QRELS_ACCEPTED[case])
    plain = tmp_path / "plain.txt"
    plain.write_bytes(JUDGED)
    measures = ["--measures", "RR,AP,nDCG@10", "--json"]
    outcome = hype_in_bench("eval", "hyper-run", "--qrels", path, *measures).json
    expected = hype_in_bench("eval", "hyper-run", "--qrels", plain, *measures).json
    assert outcome["aggregates"] == expected["aggregates"]
    assert outcome["judged_queries"] == 1
