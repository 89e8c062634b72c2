"""Every row of docs/bad-input.md names a test that exists, and every case has its row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hypencli.cli.app import command

ROW = re.compile(r"^\| (.+) \| (.+) \| `([^`]+)` \|$", re.MULTILINE)


BESIDE = {
    "test_a_stream_names_its_document_too",
    "test_every_method_of_fusion_is_known_here",
    "test_the_cases_reach_every_table",
    "test_training_from_weights_that_are_no_numbers_is_refused",
    "test_weights_that_make_scores_infinite_are_refused",
}
"""Tests of rows that name another one, and of the tests."""


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "bad-input.md").read_text(encoding="utf-8")


def rows(page: str) -> list[tuple[str, str]]:
    """Case and test of every row; a test without a file is in the file that its section names."""
    collected = []
    file = ""
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        named = re.search(r"^Tests are in `([^`]+)`", section, re.MULTILINE)
        file = named[1] if named else file
        for case, _, test in ROW.findall(section):
            collected.append((case, test if "::" in test else f"{file}::{test}"))
    return collected


def test_every_row_names_a_test_that_is_there(page: str, repository: Path) -> None:
    assert len(rows(page)) > 60
    for case, test in rows(page):
        file, _, name = test.partition("::")
        function, _, parameter = name.partition("[")
        source = (repository / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {re.escape(function)}\(", source, re.MULTILINE), case
        if parameter:
            assert f'"{parameter.removesuffix("]")}"' in source, case


def test_every_test_of_bad_input_stands_in_a_row(page: str, repository: Path) -> None:
    named = {test.partition("::")[2].partition("[")[0] for _, test in rows(page)}
    tests = repository / "tests"
    attacks = [*tests.rglob("test_*_bad_input.py"), tests / "contract" / "test_bad_numbers.py"]
    assert len(attacks) > 4
    for path in attacks:
        existing = re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(existing) - named <= BESIDE, path.name


def test_every_option_of_the_page_is_one_of_the_verbs(page: str) -> None:
    options: set[str] = set()

    def gather(node: object) -> None:
        for child in getattr(node, "commands", {}).values():
            gather(child)
        options.update(name for each in getattr(node, "params", []) for name in each.opts)

    gather(command())
    assert set(re.findall(r"`(--[a-z-]+)", page)) <= options
