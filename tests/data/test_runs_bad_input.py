"""Runs that are not what they should be: ``hype import run``, ``hype search --rerank-lists``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import hypestore as hs
from tests.conftest import Hype

DATA = 5

RANKED = b"q0 Q0 d0 1 2.5 tag\n"

RUNS_REFUSED: dict[str, tuple[bytes, str]] = {
    "missing rank": (RANKED + b"q0 Q0 d1 2.5 tag\n", "line 2: 5 columns, a TREC run has 6"),
    "7 columns": (RANKED + b"q0 Q0 d1 2 1 tag x\n", "line 2: 7 columns, a TREC run has 6"),
    "rank of another type": (RANKED + b"q0 Q0 d1 two 1 tag\n", "line 2: a rank must be an integer"),
    "rank with underscore": (RANKED + b"q0 Q0 d1 2_0 1 tag\n", "line 2: a rank must be an integer"),
    "nan": (RANKED + b"q0 Q0 d1 2 nan tag\n", "line 2: a score must be a finite number, not 'nan'"),
    "infinite": (RANKED + b"q0 Q0 d1 2 -Infinity tag\n", "line 2: a score must be a finite number"),
    "score beyond float32": (RANKED + b"q0 Q0 d1 2 1e300 t\n", "line 2: a score must be a finite"),
    "score with underscore": (RANKED + b"q0 Q0 d1 2 1_0.5 t\n", "line 2: a score must be a finite"),
    "duplicate document": (RANKED * 2, "line 2: document 'd0' is there twice for query 'q0'"),
    "invalid utf-8": (RANKED + b"q0 Q0 d\xff 2 1 t\n", "line 2: not valid UTF-8"),
    "empty file": (b"", "the file is empty"),
    "nan, jsonl": (
        b'{"query": {"id": "q0"}, "items": [{"id": "d0", "score": NaN}]}\n',
        "line 1, item 1: a score must be a finite number, not nan",
    ),
    "beyond float32, jsonl": (
        b'{"query": {"id": "q0"}, "items": [{"id": "d0", "score": 1e300}]}\n',
        "line 1, item 1: a score must be a finite number",
    ),
}

RUNS_ACCEPTED: dict[str, tuple[bytes, list[str], int]] = {
    "byte order mark": (b"\xef\xbb\xbf" + RANKED, ["d0"], 0),
    "crlf": (RANKED.replace(b"\n", b"\r\n"), ["d0"], 0),
    "ranks all 0": (b"q0 Q0 d0 0 2 t\nq0 Q0 d1 0 3 t\n", ["d1", "d0"], 0),
    "ranks contradict scores": (b"q0 Q0 d0 1 1 t\nq0 Q0 d1 2 3 t\n", ["d1", "d0"], 1),
    "nul in an id": (RANKED + b"q0 Q0 d\x00 2 1 t\n", ["d0", "d\x00"], 0),
}


@pytest.mark.parametrize("case", RUNS_REFUSED)
def test_runs_are_refused_by_line(
    case: str, tmp_path: Path, hype_in_bench: Hype, artifacts: Callable[[], set[str]]
) -> None:
    content, words = RUNS_REFUSED[case]
    path = tmp_path / "some.run"
    path.write_bytes(content)
    before = artifacts()
    rerank = ["search", "--model", "hyper", "--embeddings", "hyper-docs", "--rerank-lists", path]
    for command in (["import", "run", path], rerank):
        outcome = hype_in_bench(*command)
        assert outcome.code == DATA, outcome.err
        assert str(path) in outcome.err
        assert words in outcome.err
    assert artifacts() == before


@pytest.mark.parametrize("case", RUNS_ACCEPTED)
def test_odd_runs_are_taken_in_by_their_scores(
    case: str, bench: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    content, order, reordered = RUNS_ACCEPTED[case]
    path = tmp_path / "some.run"
    path.write_bytes(content)
    name = case.replace(" ", "-")
    taken = hype_in_bench("import", "run", path, "--name", name, "--json").json
    assert taken["reordered_queries"] == reordered
    results = hs.Store.open(bench).run(name).results()
    assert [doc_id for doc_id, _ in results["q0"]] == order


def test_ranks_that_contradict_scores_are_said(tmp_path: Path, hype_in_bench: Hype) -> None:
    path = tmp_path / "backwards.run"
    path.write_bytes(b"q0 Q0 d0 1 1 t\nq0 Q0 d1 2 4 t\n")
    outcome = hype_in_bench("import", "run", path)
    assert "ranks of 1 query contradict its scores" in outcome.out
