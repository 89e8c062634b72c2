"""``hype fuse``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]


def test_two_runs_become_one(hype: Hype, study: Path, tiny_collection: Path) -> None:
    common = ["--store", study]
    done = hype("fuse", "hyper-run", "plain-run", "--name", "both", "--k", 5, *common)
    assert done.code == 0
    assert "Fused hyper-run and plain-run (rrf, k=5): 60 results for 12 queries." in done.out
    assert "Next: hype eval both --qrels FILE" in done.out
    weighted = ["fuse", "hyper-run", "plain-run", "--method", "interpolate", "--weights", "1, 0"]
    judged = ["--qrels", tiny_collection / "qrels.txt", "--measures", "P@5", "--name", "first"]
    outcome = hype(*weighted, *judged, *common, "--json").json
    alone = hype("eval", "hyper-run", *judged[:4], *common, "--json").json
    assert outcome["evaluation"]["aggregates"] == alone["aggregates"]
    shown = hype("show", "both", *common, "--json").json
    assert {one["name"] for one in shown["parents"]} >= {"hyper-run", "plain-run", "hyper"}
    assert "combsum" in hype("fuse", "first", "both", "--method", "combsum", *common).out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["hyper-run"], 2, "hype fuse RUN RUN"),
        (["hyper-run", "plain-run", "--method", "borda"], 2, "--method"),
        (["hyper-run", "plain-run", "--weights", "1 2"], 2, "takes no weights"),
        (["hyper-run", "plain-run", "--method", "interpolate", "--weights", "1"], 2, "1 weights"),
        (["hyper-run", "plain-run", "--method", "interpolate", "--weights", "x"], 2, "numbers"),
        (["hyper-run", "plain-rum"], 4, "plain-run"),
    ],
)
def test_errors(hype: Hype, study: Path, arguments: list[str], code: int, words: str) -> None:
    outcome = hype("fuse", *arguments, "--store", study)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert words in outcome.err
    assert hype("doctor", "--store", study).code == 0
