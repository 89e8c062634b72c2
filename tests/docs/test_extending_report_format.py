"""The table format of docs/extending.md, installed as a package of a user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypencli.cli.output.formats import FORMATS
from tests.conftest import Hype
from tests.docs.installing import Example


@pytest.mark.usefixtures("site")
def test_what_the_page_types_prints_typst(
    example: Callable[[str], Example], hype: Hype, finished_study: Path
) -> None:
    commands = example("A table format").commands
    assert [command[0] for command in commands] == ["report", "compare"]
    for command in commands:
        shown = hype(*command, "--store", finished_study)
        assert shown.code == 0, shown.err
        assert shown.out.count("#figure(") == 1
        assert '"nDCG@10"' in shown.out
    board = hype(*commands[0], "--store", finished_study)
    csv = hype("report", "--format", "csv", "--store", finished_study).out
    measured = float(csv.splitlines()[1].split(",")[3])
    assert f'"{measured:.4f}"' in board.out


@pytest.mark.usefixtures("site")
def test_what_others_wrote_is_escaped(hype: Hype, finished_study: Path) -> None:
    sql = """SELECT '"#panic()"' AS "a\\b" """
    shown = hype("report", "--sql", sql, "--format", "typst", "--store", finished_study)
    assert 'table.header("a\\\\b")' in shown.out
    assert '"\\"#panic()\\"",' in shown.out


@pytest.mark.usefixtures("site")
def test_an_unknown_format_lists_it(hype: Hype, finished_study: Path) -> None:
    refused = hype("report", "--format", "tyspt", "--store", finished_study)
    assert refused.code == 2
    assert "'typst'" in refused.err
    assert all(name in refused.err for name in FORMATS)


def test_a_package_that_is_not_installed_offers_nothing(hype: Hype, finished_study: Path) -> None:
    refused = hype("report", "--format", "typst", "--store", finished_study)
    assert (refused.code, refused.out) == (2, "")


def test_what_is_no_function_is_refused(site: Path, hype: Hype, finished_study: Path) -> None:
    (site / "typst_format.py").write_text("write_typst = 'text'\n", encoding="utf-8")
    refused = hype("report", "--format", "typst", "--store", finished_study)
    assert (refused.code, refused.out) == (2, "")
    assert "not a function" in refused.err
