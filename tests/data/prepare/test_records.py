"""Rows of any schema: the same from every format, and each with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hypencli.data.prepare.records import Record, records_of, titled
from hypencli.errors import DataError

ROWS = [
    {"id": i, "text": f"text {i}", "flag": i % 2 == 0, "list": [{"a": i}, {"a": None}]}
    for i in range(150)
]


def write_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=100)


def write_arrow(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)


@pytest.mark.parametrize(
    ("write", "unit"), [(write_jsonl, "line"), (write_parquet, "row"), (write_arrow, "row")]
)
def test_every_format(write: Callable[[Path], None], unit: str, tmp_path: Path) -> None:
    write(tmp_path / "rows")
    actual = list(records_of(tmp_path / "rows"))
    assert [dict(record.values) for record in actual] == ROWS
    assert actual[149].where == f"{tmp_path / 'rows'}, {unit} 150"


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=f"{name}: cannot be read as"):
        list(records_of(tmp_path / name))


RECORD = Record(
    "here", {"id": 7, "name": "x", "flag": True, "list": [{"a": 1}, {"a": 2}], "no": None}
)


def test_fields() -> None:
    assert RECORD.identifier("id") == "7"
    assert RECORD.text("name") == "x"
    assert RECORD.flag("flag")
    assert [one.where for one in RECORD.records("list")] == ["here, list[0]", "here, list[1]"]
    assert RECORD.records("no") == []


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (lambda: RECORD.text("text"), "here: no 'text' here; its keys are 'id', 'name', 'flag'"),
        (lambda: RECORD.text("id"), "here, 'id': a text was expected, not 7"),
        (
            lambda: RECORD.identifier("no"),
            "here, 'no': an id must be a text or an integer, not None",
        ),
        (lambda: RECORD.identifier("flag"), "here, 'flag': an id must be"),
        (lambda: RECORD.flag("id"), "here, 'id': true or false was expected, not 7"),
        (lambda: RECORD.records("name"), "here, 'name': a list of objects was expected"),
        (lambda: Record("there", {}).value("x"), "there: no 'x' here; its keys are none"),
    ],
)
def test_fields_that_are_not_there(read: Callable[[], Any], problem: str) -> None:
    with pytest.raises(DataError) as caught:
        read()
    assert caught.value.message.startswith(problem)


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("a title", "a text", "a title.\na text"),
        ("a title?", " a text ", "a title?.\n a text "),
        ("", "a text", "a text"),
        (" ", "", ""),
        ("a title", "", "a title.\n"),
    ],
)
def test_titles(title: str, text: str, expected: str) -> None:
    assert titled(Record("here", {"t": title, "x": text}), "t", "x") == expected
