"""Results as tables: Arrow, pandas, dictionaries, and HTML with all text escaped."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from hypencli.errors import DataError, MissingDependencyError
from hypencli.ops.evaluation.compare import Comparison
from hypencli.ops.evaluation.leaderboard import LeaderboardTable
from hypencli.records import PairedTest
from hypencli.tabular import NotebookRecord, Records, Tables, distinct_names

HOSTILE = '<script>alert("x")</script>\u202e\x1b[31m & more'


@dataclass(frozen=True, slots=True)
class Part:
    seconds: float
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Made(NotebookRecord):
    name: str
    part: Part
    counts: dict[str, int] = field(default_factory=dict)


class Cells(HTMLParser):
    """Text of the cells, and every tag there is."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def table(*rows: tuple[object, ...]) -> LeaderboardTable:
    return LeaderboardTable("a title", tuple(f"c{i}" for i in range(len(rows[0]))), rows)


def test_a_table_as_arrow_and_dictionaries() -> None:
    made = table(("a", 1, 0.5, None), ("b", 2, None, None))
    assert made.to_dicts() == made.to_arrow().to_pylist()
    assert made.to_arrow().schema.field("c2").type == "double"


@pytest.mark.parametrize("values", [(2**70, 1), ("a", 1), ([1], "x")])
def test_a_column_without_an_arrow_type_is_named(values: tuple[object, object]) -> None:
    with pytest.raises(DataError, match="'c0'"):
        table(*((value,) for value in values)).to_arrow()


def test_pandas_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # as where it is not installed
    with pytest.raises(MissingDependencyError, match="pandas"):
        table((1,)).to_pandas()


def test_a_table_as_a_data_frame() -> None:
    pandas = importlib.import_module("pandas")
    frame = table(("a", 1), ("b", 2)).to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.to_dict("list") == {"c0": ["a", "b"], "c1": [1, 2]}


def test_a_comparison_is_a_table_with_its_p_values() -> None:
    p_values = {"t": 0.25, "randomisation": 0.5}
    test = PairedTest("RR", 0.5, 0.75, 0.25, 3, 1, 2, 6, p_values, corrected=p_values)
    comparison = Comparison("one", "other", "file:q", 6, (test,))
    assert comparison.to_dicts() == [
        {
            "measure": "RR",
            "mean_a": 0.5,
            "mean_b": 0.75,
            "difference": 0.25,
            "wins": 3,
            "losses": 1,
            "ties": 2,
            "p_t": 0.25,
            "p_randomisation": 0.5,
        }
    ]


def test_records_are_a_tuple_and_a_table() -> None:
    records = Records([Part(1.0), Part(2.0, "late")])
    assert records[1] == Part(2.0, "late")
    assert records.to_dicts() == [{"seconds": 1.0, "note": None}, {"seconds": 2.0, "note": "late"}]
    assert Records([]).to_dicts() == []
    assert Records([]).to_arrow().num_rows == 0


def test_html_escapes_what_others_wrote() -> None:
    hostile = LeaderboardTable(HOSTILE, (HOSTILE,), ((HOSTILE,),))
    record = Made(HOSTILE, Part(1.5, HOSTILE), {HOSTILE: 1})
    for html in (
        hostile._repr_html_(),
        Tables([hostile, hostile])._repr_html_(),
        record._repr_html_(),
        Records([Part(1.0, HOSTILE)])._repr_html_(),
    ):
        read = Cells(html)
        assert read.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
        assert any('<script>alert("x")</script>[31m & more' in cell for cell in read.cells)
        assert not set(html) & set("\u202e\x1b")


def test_html_of_a_record_has_its_nested_fields() -> None:
    cells = Cells(Made("n", Part(1.5), {"all": 3})._repr_html_()).cells
    pairs = dict(zip(cells[::2], cells[1::2], strict=True))
    assert pairs == {
        "field": "value",
        "name": "n",
        "part.seconds": "1.5000",
        "counts.all": "3",
    }


def test_html_shows_the_first_rows_and_counts_the_others() -> None:
    html = table(*((number,) for number in range(1060)))._repr_html_()
    assert html.count("<tr>") == 1 + 50
    assert "1,010 more rows" in html


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ("a", "b")),
        (["a", "a", "a"], ("a", "a_1", "a_2")),
        (["a", "a", "a_1"], ("a", "a_2", "a_1")),
        (["a_1", "a", "a"], ("a_1", "a", "a_2")),
    ],
)
def test_names_are_told_apart(names: list[str], expected: tuple[str, ...]) -> None:
    assert distinct_names(names) == expected
