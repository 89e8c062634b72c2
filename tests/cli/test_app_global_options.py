"""``--store`` and ``--json`` before the verb and after it, errors as JSON, the panels of help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.cli.app import PANELS, command

Hype = Callable[..., Any]


@pytest.mark.parametrize("verb", [["ls"], ["show", "hyper-run"], ["report"]], ids=" ".join)
def test_both_places_mean_the_same(hype: Hype, finished_study: Path, verb: list[str]) -> None:
    after = hype(*verb, "--store", finished_study, "--json")
    before = hype("--store", finished_study, "--json", *verb)
    assert after.code == before.code == 0
    assert after.out == before.out
    assert hype("--json", *verb, f"--store={finished_study}").out == after.out
    drawn = hype("--store", finished_study, *verb)
    assert drawn.out == hype(*verb, "--store", finished_study).out != after.out


def test_a_verb_of_two_words_takes_them_too(
    hype: Hype, finished_study: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run.trec"
    done = hype("--json", "--store", finished_study, "export", "run", "hyper-run", "-o", output)
    assert done.json["path"] == str(output)
    assert output.exists()


def test_two_places_may_agree_and_may_not_differ(
    hype: Hype, finished_study: Path, tmp_path: Path
) -> None:
    both = ["--store", finished_study, "ls", "--store"]
    assert hype(*both, finished_study).code == 0
    refused = hype(*both, tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert str(finished_study) in refused.err
    assert str(tmp_path) in refused.err


def test_the_command_line_goes_before_the_environment(
    hype: Hype, finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPE_STORE", str(tmp_path / "none"))
    assert hype("ls").code == 4
    assert hype("--store", finished_study, "ls").code == 0


def test_a_verb_without_a_store_refuses_one(hype: Hype, tmp_path: Path) -> None:
    refused = hype("--store", tmp_path / "study", "init", tmp_path / "other")
    assert (refused.code, "hype init" in refused.err) == (2, True)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["--json", "serch"], 2, "UsageError"),
        (["ls", "--frob", "--json"], 2, "UsageError"),
        (["--json", "ls", "--frob"], 2, "UsageError"),
        (["costs", "--k", "0", "--format", "json"], 2, "UsageError"),
        (["--json", "rm"], 2, "UsageError"),
        (["--json", "compare", "hyper-run"], 2, "UsageError"),
        (["--json", "report", "--format", "latx"], 2, "UsageError"),
        (["--json", "show", "hyper-rum"], 4, "ArtifactNotFound"),
        (["report", "hyper-run", "nothing", "--format=json"], 4, "ArtifactNotFound"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_are_json_wherever_json_is_asked_for(
    hype: Hype, finished_study: Path, arguments: list[str], code: int, kind: str
) -> None:
    outcome = hype("--store", finished_study, *arguments)
    assert (outcome.code, outcome.err) == (code, "")
    error = outcome.json["error"]
    assert (error["type"], error["exit_code"]) == (kind, code)
    assert error["message"]


def test_every_verb_is_in_a_panel_of_the_help(hype: Hype) -> None:
    verbs = [verb for panel in PANELS.values() for verb in panel]
    assert list(command().list_commands(None)) == verbs
    assert set(command().commands) == set(verbs)
    lines = hype("--help").out.splitlines()
    panels = [line.split()[1] for line in lines if line.startswith("╭─")]
    assert panels == ["Options", *PANELS]
    shown = [line.split()[1] for line in lines if line.startswith("│ ") and line[2] != " "]
    assert [word for word in shown if not word.startswith("-")] == verbs


@pytest.mark.parametrize("verb", command().commands)
def test_the_help_has_one_short_line_a_verb(verb: str) -> None:
    first = command().commands[verb].help.partition("\n\n")[0]
    assert len(first) <= 64
    assert first.endswith(".")
