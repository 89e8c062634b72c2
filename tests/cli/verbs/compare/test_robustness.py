"""``hype robustness``: its errors, and runs that are named. tests/ops/test_perturb.py has more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "BASE_RUN"),
        (["hyper-run"], 2, "hype perturb"),
        (["hyper-rum"], 4, "hyper-run"),
        (["hyper-run", "plain-rum"], 4, "plain-run"),
        (["hyper-run", "--sql", "SELECT 1"], 2, "--sql"),
        (["hyper-run", "--qrels", "x"], 2, "--qrels"),
    ],
)
def test_errors(
    hype: Hype, finished_study: Path, arguments: list[str], code: int, words: str
) -> None:
    outcome = hype("robustness", *arguments, "--store", finished_study)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert words in outcome.err


def test_named_runs_are_compared_with_the_base(hype: Hype, finished_study: Path) -> None:
    named = ["robustness", "hyper-run", "plain-run", "--measures", "RR@10"]
    (kind,) = hype(*named, "--store", finished_study, "--json").json["kinds"]
    assert kind["runs"] == ["plain-run"]
    (loss,) = kind["losses"]
    assert loss["loss"] == pytest.approx((loss["base"] - loss["variant"]) / loss["base"])
