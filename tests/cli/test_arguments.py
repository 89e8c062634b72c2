"""What a command line says before it is parsed."""

from __future__ import annotations

import pytest

from hypencli.cli.arguments import from_verb, wants_json


@pytest.mark.parametrize(
    ("arguments", "rest"),
    [
        ([], []),
        (["ls", "--json"], ["ls", "--json"]),
        (["--store", "study", "ls", "runs"], ["ls", "runs"]),
        (["--store=study", "--json", "import", "run"], ["import", "run"]),
        (["--store"], []),
        (["--store", "ls"], []),
        (["--json"], []),
        (["--help", "ls"], []),
        (["-h", "ls"], []),
        (["--json", "--version", "ls"], []),
    ],
)
def test_the_verb_comes_after_global_options(arguments: list[str], rest: list[str]) -> None:
    assert from_verb(arguments) == rest


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--json", "ls"], True),
        (["ls", "--json"], True),
        (["report", "--format", "json"], True),
        (["report", "--format=json"], True),
        (["export", "run", "a", "--format", "jsonl"], False),
        (["report", "--format", "csv", "json"], False),
        (["query", "--", "--json"], False),
        ([], False),
    ],
)
def test_json_may_stand_anywhere(arguments: list[str], expected: bool) -> None:
    assert wants_json(arguments) is expected
