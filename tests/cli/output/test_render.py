"""What is printed: safe, aligned, and readable by programs."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hypencli.cli.output.formats import FORMATS, TERMINAL
from hypencli.cli.output.render import escape, number, seconds, size, to_json
from hypencli.cli.output.tables import print_table
from hypencli.ops.evaluation.compare import Comparison, verdict
from hypencli.records import PairedTest

COLUMNS = ("run", "nDCG@10")
ROWS = [("a|b <i>", 0.123456), ("=SUM(A1)", None), ("100 % & more_\\", 1)]


def printed(capsys: pytest.CaptureFixture[str], format: str) -> str:
    print_table("title", COLUMNS, ROWS, format=format)
    return capsys.readouterr().out


def test_escape_sequences_and_direction_marks_are_dropped() -> None:
    assert escape("a\x1b[31mred\x07\u202eb\u2066c\x9b") == "a[31mredbc"
    assert escape("tab\tand\nline") == "tab\tand line"


def test_every_format_holds_every_run(capsys: pytest.CaptureFixture[str]) -> None:
    for format in (TERMINAL, *FORMATS):
        out = printed(capsys, format)
        assert "nDCG@10" in out
        assert "0.1235" in out or "0.123456" in out


def test_json_table_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(printed(capsys, "json"))
    assert value["rows"][0] == {"run": "a|b <i>", "nDCG@10": 0.123456}


def test_csv_reads_back_and_starts_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.reader(io.StringIO(printed(capsys, "csv"))))
    assert rows[0] == list(COLUMNS)
    assert rows[2][0] == "'=SUM(A1)"


def test_negative_numbers_stay_numbers_in_csv(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ("difference",), [(-0.5,)], format="csv")
    assert capsys.readouterr().out == "difference\n-0.5\n"


def test_markdown_escapes_its_own_signs(capsys: pytest.CaptureFixture[str]) -> None:
    assert "| a\\|b &lt;i> | 0.1235 |" in printed(capsys, "markdown")


def test_latex_escapes_its_own_signs(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "latex")
    assert "100 \\% \\& more\\_\\textbackslash{}" in out
    assert out.count("\\\\\n") == 4


def test_columns_of_the_terminal_table_are_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ("name", "value"), [("x" * 90, 0.5)])
    assert "x" * 90 in capsys.readouterr().out


def drawn_by_rich(columns: tuple[str, ...], rows: list[tuple[object, ...]], right: str) -> str:
    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(number(cell)) for cell in row))
    out = io.StringIO()
    Console(file=out, width=160, highlight=False, markup=False).print(table)
    return out.getvalue()


@pytest.mark.parametrize("odd", ["plain", "名前", "two\nlines", "x" * 200, "tab\there", "–"])
def test_a_long_table_looks_as_a_short_one_does(
    capsys: pytest.CaptureFixture[str], odd: str
) -> None:
    columns = ("run", "score", "n", "none")
    rows: list[tuple[object, ...]] = [(f"run-{i}", i / 7, i, None) for i in range(150)]
    rows[70] = (odd, -0.5, 10**6, None)
    print_table("", columns, rows)
    assert capsys.readouterr().out == drawn_by_rich(columns, rows, "score n")


def test_numbers() -> None:
    assert [number(v) for v in (0.5, None, True, 7, "a")] == ["0.5000", "–", "True", "7", "a"]
    assert [size(v) for v in (12, 1500, 2_500_000)] == ["12 B", "1.5 kB", "2.5 MB"]
    assert [seconds(v) for v in (0.25, 3.21, 150, 7330)] == [
        "250 ms",
        "3.2 s",
        "2 min 30 s",
        "2 h 2 min",
    ]


def test_results_become_plain_json() -> None:
    @dataclass(frozen=True)
    class Result:
        path: Path
        parts: tuple[int, ...]

        @property
        def total(self) -> int:
            return sum(self.parts)

    value = to_json(Result(Path("a/b"), (1, 2)))
    assert value == {"path": "a/b", "parts": [1, 2], "total": 3}
    assert json.loads(json.dumps(value)) == value


def test_the_verdict_names_what_is_significant() -> None:
    def paired(measure: str, difference: float, p: float) -> PairedTest:
        p_values = {"randomisation": p}
        return PairedTest(
            measure, 0.5, 0.5 + difference, difference, 1, 1, 1, 3, p_values, p_values
        )

    tests = (paired("nDCG@10", 0.1, 0.01), paired("RR", -0.1, 0.02), paired("P@5", 0.2, 0.3))
    assert verdict(Comparison("old", "new", "qrels", 3, tests)) == (
        "new is significantly better on nDCG@10 and worse on RR than old (p < 0.05)."
    )
    assert "No difference" in verdict(Comparison("old", "new", "qrels", 3, tests[2:]))
