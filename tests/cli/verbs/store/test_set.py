"""``hype set``: defaults of a store, checked before they are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypestore import Store

Hype = Callable[..., Any]


def test_defaults_are_set_shown_and_used(
    hype: Hype, study: Path, tiny_collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_collection)
    in_store = ("--store", study)
    assert "No default is set. To set one: hype set KEY VALUE" in hype("set", *in_store).out
    model = Store.open(study).get("hyper", kind="model")
    corpus = Store.open(study).artifacts("embeddings")[0].inputs["corpus"]
    for key, value in (("model", model.id), ("queries", "queries.jsonl"), ("device", "cpu")):
        done = hype("set", key, value, *in_store)
        assert done.code == 0, done.err
    shown = hype("set", "corpus", corpus, *in_store, "--json").json
    expected = {
        "model": "hyper",
        "corpus": corpus,
        "queries": str(tiny_collection / "queries.jsonl"),
        "device": "cpu",
    }
    assert shown == expected
    assert hype("set", *in_store, "--json").json == expected
    assert "queries.jsonl" in hype("set", *in_store).out
    monkeypatch.chdir(study.parent)
    assert hype("search", "--k", 3, *in_store, "--json").json["model"] == "hyper"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["model"], 2, "hype set model VALUE"),
        (["modell", "x"], 2, "Known: model, corpus, queries, device"),
        (["queries_seal", "x"], 2, "There is no default 'queries_seal'"),
        (["model", "nobody"], 4, "No model has the id or name 'nobody'"),
        (["corpus", "elsewhere"], 2, "Encoded: "),
        (["queries", "nowhere.jsonl"], 5, "No query set 'nowhere.jsonl'"),
        (["device", "tpu9"], 6, "tpu9"),
    ],
)
def test_what_no_command_could_use_is_refused(
    hype: Hype, study: Path, arguments: list[str], code: int, words: str
) -> None:
    before = (study / "hype.toml").read_bytes()
    outcome = hype("set", *arguments, "--store", study)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert words in outcome.err
    assert (study / "hype.toml").read_bytes() == before
