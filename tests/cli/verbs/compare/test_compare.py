"""``hype compare``: runs with paired tests, pools, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]


@pytest.fixture
def store(hype: Hype, tmp_path: Path) -> Path:
    assert hype("init", tmp_path / "store").code == 0
    return tmp_path / "store"


def test_a_pool_and_its_comparison(hype: Hype, store: Path, evaluation_goldens: Path) -> None:
    folder = evaluation_goldens / "trec_eval"
    qrels = (folder / "qrels.test").read_text(encoding="utf-8").splitlines()
    run = (folder / "results.test").read_text(encoding="utf-8").splitlines()
    for part, selected in {"a": ("301",), "b": ("302", "303")}.items():
        judged = store.parent / f"{part}.qrels"
        judged.write_text("\n".join(line for line in qrels if line.split()[0] in selected))
        for name, ranked in {"up": run, "down": upside_down(run)}.items():
            path = store.parent / f"{name}-{part}.run"
            path.write_text("\n".join(line for line in ranked if line.split()[0] in selected))
            hype("import", "run", path, "--store", store)
            hype("eval", f"{name}-{part}", "--qrels", judged, "--store", store)
    pool = ["compare", "--pool", "up-a", "up-b", "--store", store, "--measures", "P@10, RR"]
    drawn = hype(*pool)
    assert drawn.code == 0
    assert "together" in drawn.out
    assert "0.3000" in drawn.out  # what trec_eval has for the three queries
    outcome = hype(*pool, "--json").json
    assert (outcome["n_queries"], outcome["measures"]) == (3, ["P@10", "RR"])
    assert f"{outcome['aggregates']['RR']:.4f}" == "0.4064"
    compared = hype(*pool, "--against", "down-a", "--against", "down-b", "--json").json
    assert (compared["run_b"], compared["n_queries"]) == ("down-a + down-b", 3)
    assert compared["tests"][0]["mean_a"] == pytest.approx(outcome["aggregates"]["P@10"])
    assert "Holm" in hype(*pool, "--against", "down-a", "--against", "down-b").out
    assert "up-a,file:a.qrels,1," in hype(*pool, "--format", "csv").out


def upside_down(run: list[str]) -> list[str]:
    """A run with its scores negated."""
    columns = [line.split() for line in run]
    return [" ".join([*row[:3], "0", str(-float(row[4])), row[5]]) for row in columns]


@pytest.fixture
def three_runs(hype: Hype, store: Path) -> Path:
    """Runs that find the only relevant document of two queries at ranks 1, 2 and 3."""
    judgements = store.parent / "qrels.txt"
    judgements.write_text("q1 0 d1 1\nq2 0 d1 1\n", encoding="utf-8")
    for place, name in enumerate(("first", "second", "third")):
        others = [f"x{i}" for i in range(3)]
        ranking = [*others[:place], "d1", *others[place:]]
        lines = [
            f"{query} Q0 {doc} {rank} {-rank} {name}"
            for query in ("q1", "q2")
            for rank, doc in enumerate(ranking, start=1)
        ]
        path = store.parent / f"{name}.trec"
        path.write_text("\n".join(lines), encoding="utf-8")
        assert hype("import", "run", path, "--store", store).code == 0
        judged = ["--qrels", judgements, "--measures", "RR P@1"]
        assert hype("eval", name, *judged, "--store", store).code == 0
    return store


def test_two_runs_are_one_object(hype: Hype, three_runs: Path) -> None:
    outcome = hype("compare", "first", "second", "--store", three_runs, "--json").json
    assert (outcome["run_a"], outcome["run_b"], outcome["n_queries"]) == ("first", "second", 2)
    differences = {test["measure"]: test["difference"] for test in outcome["tests"]}
    assert differences == {"RR": -0.5, "P@1": -1.0}


def test_several_runs_are_each_beside_the_first(hype: Hype, three_runs: Path) -> None:
    named = ["compare", "first", "second", "third", "--measures", "RR", "--store", three_runs]
    outcome = hype(*named, "--json").json
    pairs = [(one["run_a"], one["run_b"], one["tests"][0]["mean_b"]) for one in outcome]
    assert pairs == [("first", "second", 0.5), ("first", "third", pytest.approx(1 / 3))]
    drawn = hype(*named).out
    assert "A: first   B: second" in drawn
    assert "A: first   B: third" in drawn
    assert "not corrected over the pairs" in drawn
    csv = hype(*named, "--format", "csv").out.splitlines()
    assert [line.split(",")[:3] for line in csv[1::2]] == [
        ["RR", "1.0", "0.5"],
        ["RR", "1.0", "0.3333333333333333"],
    ]


@pytest.mark.parametrize("more", [[], ["--json"], ["--format", "latex"], ["--measures", "P@1"]])
def test_report_of_runs_is_their_comparison(hype: Hype, three_runs: Path, more: list[str]) -> None:
    named = ["first", "third", "second", *more, "--store", three_runs]
    assert hype("report", *named).out == hype("compare", *named).out != ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["compare"], 2, "RUN"),
        (["compare", "hyper-run"], 2, "hype compare RUN_A RUN_B"),
        (["report", "hyper-run"], 2, "hype compare RUN_A RUN_B"),
        (["compare", "hyper-run", "plain-rum"], 4, "plain-run"),
        (["compare", "--pool"], 2, "RUN"),
        (["compare", "--pool", "hyper-run", "plain-run"], 2, "count twice"),
        (["compare", "--pool", "hyper-run", "--qrels", "{qrels}"], 2, "own judgements"),
        (["compare", "hyper-run", "--against", "plain-run"], 2, "needs --pool"),
        (["compare", "hyper-run", "plain-run", "--format", "cvs"], 2, "csv"),
        (["compare", "hyper-run", "plain-run", "--measures", "AP"], 2, "nDCG@10"),
        (["report", "hyper-run", "plain-run", "--pool"], 2, "--pool"),
    ],
)
def test_errors(
    hype: Hype,
    finished_study: Path,
    tiny_collection: Path,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    qrels = tiny_collection / "qrels.txt"
    filled = [argument.format(qrels=qrels) for argument in arguments]
    outcome = hype(*filled, "--store", finished_study)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert words in outcome.err
