"""A name for what was made before, under another name or none: never left out in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]
Command = list[object]


@pytest.fixture
def commands(hype: Hype, study: Path, tiny_collection: Path, tmp_path: Path) -> dict[str, Command]:
    """Verb -> a command that makes something of a name of its own."""
    common = ["--store", study]
    assert hype("graph", "hyper-docs", "--k", 5, "--name", "first-graph", *common).code == 0
    files = {"run": ("hyper-run", "run.jsonl"), "graph": ("first-graph", "graph.jsonl")}
    files |= {"embeddings": ("hyper-docs", "items.docs"), "model": ("hyper", "checkpoint")}
    for kind, (name, file) in files.items():
        assert hype("export", kind, name, "--output", tmp_path / file, *common).code == 0
    corpus, queries = tiny_collection / "corpus.jsonl", tiny_collection / "queries.jsonl"
    taking = {"graph": ["--embeddings", "plain-docs"], "embeddings": ["--model", "plain"]}
    return {
        "search": ["search", queries, "--model", "plain", "--k", 7],
        "encode": ["encode", corpus, "--model", "plain", "--limit", 9],
        "graph": ["graph", "plain-docs", "--k", 3],
        "fuse": ["fuse", "hyper-run", "plain-run"],
        **{
            f"import {kind}": ["import", kind, tmp_path / file, *taking.get(kind, [])]
            for kind, (_, file) in files.items()
        },
        "import model --copy": ["import", "model", tmp_path / "checkpoint", "--copy"],
    }


ONCE = ["search", "encode", "graph", "fuse", "import embeddings"]
NAMED = ["import run", "import graph", "import model", "import model --copy"]
"""Verbs whose result has the name in its id: another name makes another artifact."""


@pytest.mark.parametrize("verb", ONCE)
def test_another_name_for_what_is_there_is_said_not_to_be_given(
    hype: Hype, study: Path, commands: dict[str, Command], verb: str
) -> None:
    command = [*commands[verb], "--store", study]
    outcome = hype(*command, "--name", "one", "--json").json
    assert (outcome["name"], outcome["existing"], outcome["name_not_given"]) == ("one", False, None)
    assert hype(*command, "--name", "one", "--json").json["name_not_given"] is None
    assert hype(*command, "--json").json["name_not_given"] is None
    again = hype(*command, "--name", "two", "--json").json
    assert (again["name"], again["existing"]) == ("one", True)
    assert again["name_not_given"] == {"asked": "two", "taken_by": None, "needed_by": 0}
    told = hype(*command, "--name", "two")
    assert told.code == 0
    said = " ".join(told.out.split())
    assert "Not named two: the artifact existed before, and its name stays one." in said
    assert "To name it two: hype rm one, then the same command again." in said
    assert hype("rm", "one", "--store", study).code == 0
    assert hype(*command, "--name", "two", "--json").json["name"] == "two"


@pytest.mark.parametrize("verb", NAMED)
def test_what_came_from_a_file_is_taken_in_again_under_another_name(
    hype: Hype, study: Path, commands: dict[str, Command], verb: str
) -> None:
    command = [*commands[verb], "--store", study]
    assert hype(*command, "--name", "one", "--json").json["name"] == "one"
    second = hype(*command, "--name", "two", "--json").json
    assert (second["name"], second["existing"], second["name_not_given"]) == ("two", False, None)
    again = hype(*command, "--name", "ONE", "--json").json  # of the same id as one
    assert (again["name"], again["existing"], again["name_not_given"]["asked"]) == (
        "one",
        True,
        "ONE",
    )
    assert (
        "Not named ONE: the artifact existed before, and its name stays one"
        in hype(*command, "--name", "ONE").out
    )


def test_a_training_says_it_too(hype: Hype, study: Path, tiny_recipe_settings: list[str]) -> None:
    command = ["train", "tiny", *tiny_recipe_settings, "--store", study]
    again = hype(*command, "--name", "other", "--json").json
    assert (again["name"], again["name_not_given"]["asked"]) == ("hyper", "other")
    assert "Not named other" in hype(*command, "--name", "other").out


def test_what_has_no_name_goes_by_its_id(
    hype: Hype, study: Path, commands: dict[str, Command]
) -> None:
    command = [*commands["graph"], "--store", study]
    outcome = hype(*command, "--json").json
    assert f"stays {outcome['graph']}." in " ".join(hype(*command, "--name", "late").out.split())


def test_a_name_that_is_another_s_is_not_mistaken_for_it(
    hype: Hype, study: Path, commands: dict[str, Command]
) -> None:
    command = [*commands["search"], "--store", study]
    hype(*command, "--name", "one")
    (other,) = [
        one
        for one in hype("ls", "runs", "--store", study, "--json").json
        if one["name"] == "hyper-run"
    ]
    again = hype(*command, "--name", "hyper-run", "--json").json
    not_given = {"asked": "hyper-run", "taken_by": other["id"], "needed_by": 0}
    assert again["name_not_given"] == not_given
    said = " ".join(hype(*command, "--name", "hyper-run").out.split())
    assert f"Another artifact has the name hyper-run: {other['id']}." in said
    assert "hype rm" not in said


def test_a_file_s_own_name_was_not_asked_for(
    hype: Hype, study: Path, commands: dict[str, Command]
) -> None:
    command = [*commands["import run"], "--store", study]
    hype(*command, "--name", "one")
    assert "Not named" not in hype(*command).out
