"""``hype perturb``, and what ``hype robustness`` makes of its query sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]


def test_perturb_search_and_robustness(
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
    drawn = hype("robustness", "hyper-run", "--measures", "nDCG@10 RR@10", *common)
    assert drawn.code == 0
    assert "Relative loss of nDCG@10:" in drawn.out
    assert "█" in drawn.out
    outcome = hype("robustness", "hyper-run", *common, "--json").json
    assert {kind["kind"] for kind in outcome["kinds"]} == {"misspelling", "word-drop"}
    named = ["robustness", "hyper-run", "word-drop-run", "--format", "csv", *common]
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
    ],
)
def test_errors(
    hype: Hype,
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
    outcome = hype(*filled)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert words in outcome.err
    assert not list(tmp_path.iterdir())
