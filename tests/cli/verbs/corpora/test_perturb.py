"""``hype perturb`` and ``hype report --drop``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.cli.output.charts import bars

Hype = Callable[..., Any]


def test_perturb_search_and_drop(
    hype: Hype,
    study: Path,
    tiny_collection: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    queries, common = tiny_collection / "queries.jsonl", ["--store", study]
    for kind in ("misspelling", "word-drop"):
        done = hype("perturb", queries, "--kind", kind)
        assert done.code == 0
        name = f"{tiny_collection.name}.{kind}-0.jsonl"
        assert f"Wrote 12 queries to {name}, 12 of them changed ({kind}, seed 0)." in done.out
        assert "  → " in done.out
        searched = ["search", name, "--model", "hyper", "--k", 20, "--name", f"{kind}-run"]
        assert hype(*searched, "--qrels", tiny_collection / "qrels.txt", *common).code == 0
    drawn = hype("report", "--drop", "hyper-run", "--measures", "nDCG@10 RR@10", *common)
    assert drawn.code == 0
    assert "Relative loss of nDCG@10:" in drawn.out
    assert "█" in drawn.out
    outcome = hype("report", "--drop", "hyper-run", *common, "--json").json
    assert {kind["kind"] for kind in outcome["kinds"]} == {"misspelling", "word-drop"}
    named = ["report", "--drop", "hyper-run", "word-drop-run", "--format", "csv", *common]
    assert "word-drop,1,12,nDCG@10," in hype(*named).out
    assert "unmeasured" in outcome
    again = hype("perturb", queries, "--kind", "misspelling")
    assert (again.code, "--overwrite" in again.err) == (2, True)
    assert (
        hype("perturb", queries, "--kind", "misspelling", "--overwrite", "--json").json["seed"] == 0
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["perturb", "{queries}"], 2, "--kind"),
        (["perturb", "{queries}", "--kind", "reversal"], 2, "--kind"),
        (["perturb", "{queries}", "--kind", "synonym"], 2, "--words FILE"),
        (["perturb", "{queries}", "--kind", "paraphrase"], 2, "--model"),
        (["perturb", "{queries}", "--kind", "synonym", "--words", "{folder}/no.tsv"], 5, "no.tsv"),
        (["perturb", "{queries}", "--kind", "ordering", "-o", "{folder}/no/x.jsonl"], 5, "folder"),
        (["perturb", "{folder}/no.jsonl", "--kind", "ordering"], 5, "no.jsonl"),
        (["perturb", "{queries}", "--kind", "paraphrase", "--model", "{folder}"], 6, "T5 or BART"),
        (["report", "--drop", "hyper-run"], 2, "hype perturb"),
        (["report", "--drop", "hyper-rum"], 4, "hyper-run"),
        (["report", "--drop", "hyper-run", "--sql", "SELECT 1"], 2, "exclude"),
        (["report", "--drop", "hyper-run", "--pool"], 2, "exclude"),
        (["report", "--drop", "hyper-run", "--qrels", "x"], 2, "--qrels is for two runs"),
    ],
)
def test_errors(
    hype: Hype,
    study: Path,
    tiny_collection: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"queries": tiny_collection / "queries.jsonl", "folder": tmp_path}
    filled = [argument.format(**places) for argument in arguments]
    outcome = hype(*filled, *(["--store", study] if filled[0] == "report" else []))
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert words in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_bars_are_as_long_as_their_values() -> None:
    lines = bars([("long one", 0.5), ("half", 0.25), ("gain", -0.25), ("none", 0.0)], width=8)
    assert lines == [
        "long one ████████   50.0 %",
        "half     ████       25.0 %",
        "gain     ▒▒▒▒      -25.0 %",
        "none                 0.0 %",
    ]
    assert bars([("a", 0.0)], width=4) == ["a         0.0 %"]
    assert bars([("a", 1.0), ("b", 0.26)], width=4)[1].startswith("b █ ")
    assert bars([]) == []
