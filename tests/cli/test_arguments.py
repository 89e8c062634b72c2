"""What a command line says before it is parsed."""

from __future__ import annotations

import pytest

from hypencli.cli.arguments import LONGEST_SHOWN, from_verb, shorten_arguments, wants_json


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


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("n" * 9_999, "No run has the name {}."),
        ("a question " * 500, "{} is no question."),
        ("--set=data.train=" + "x" * 5_000, "data.train: {} is no file."),
    ],
)
def test_a_long_argument_is_shown_by_its_beginning_its_end_and_its_length(
    argument: str, message: str
) -> None:
    shown = message.format(argument.removeprefix("--set=data.train="))
    short = shorten_arguments(shown, ["show", argument])
    assert len(short) < 2 * LONGEST_SHOWN
    assert short.startswith(shown[:100])
    assert short.endswith(shown[-30:])
    assert " characters) … " in short
    assert shorten_arguments(shown, ["show", "n"]) == shown


def test_a_long_word_in_a_message_about_short_arguments_stays() -> None:
    rule = "─" * 9_999
    assert shorten_arguments(rule, ["show", "a" * LONGEST_SHOWN]) == rule
