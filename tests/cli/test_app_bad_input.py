"""Numbers on the command line have one limit, whichever option they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hypencli.cli.app import command
from hypestore import Store


def whole_numbers(node: Any, path: tuple[str, ...] = ()) -> Iterator[Any]:
    """The words of each command with an option that takes a whole number, and the option."""
    for name, child in getattr(node, "commands", {}).items():
        yield from whole_numbers(child, (*path, name))
    for one in node.params:
        # A port has a smaller bound of its own.
        if type(one.default) is int and one.opts[0] != "--port":
            yield pytest.param([*path, one.opts[0]], id=f"{' '.join(path)} {one.opts[0]}")


@pytest.mark.parametrize("words", list(whole_numbers(command())))
@pytest.mark.parametrize("value", ["3000000000", "9" * 30])
def test_no_option_takes_a_larger_number(hype: Any, words: list[str], value: str) -> None:
    done = hype(*words, value)
    assert done.code == 2
    assert words[-1] in done.err
    assert "more than 2,147,483,647" in " ".join(done.err.split()).replace("│ ", "")


@pytest.mark.parametrize(
    "command_line",
    [
        ["search", "-k", "3000000000"],
        ["search", "--first", "plain", "--first-k", "3000000000"],
        ["search", "--batch-queries", "3000000000"],
        ["fuse", "hyper-run", "plain-run", "-k", "9" * 30],
        ["search", "--engine", "guided", "-o", "budget=3000000000"],
        ["search", "--approx", "--budget", "9" * 30],
    ],
    ids=lambda line: " ".join(line)[:40],
)
def test_a_number_too_large_is_refused_and_nothing_is_stored(
    hype_in_bench: Any, bench: Any, tiny_collection: Any, command_line: list[str]
) -> None:
    before = [one.id for one in Store.open(bench).artifacts()]
    search = command_line[0] == "search"
    queries = [tiny_collection / "queries.jsonl", "--model", "hyper"] if search else []
    done = hype_in_bench(*command_line, *queries)
    assert done.code == 2
    assert "2,147,483,647" in done.err
    assert [one.id for one in Store.open(bench).artifacts()] == before
    assert hype_in_bench("report").code == 0


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
@pytest.mark.parametrize(
    "words", [["import", "study", "x.zip", "--max-gigabytes"], ["search", "--recall"]]
)
def test_numbers_are_finite(hype: Any, words: list[str], value: str) -> None:
    done = hype(*words, value)
    assert done.code == 2
    assert words[-1] in done.err
