"""Folds of a query set from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.data.folds import read_folds
from hypencli.errors import DataError

ACCEPTED = {
    "names.json": '{"a": ["q1", 2], "b": ["q3"]}',
    "marked.json": '\ufeff{"a": ["q1", "2"], "b": ["q3"]}',
    "lines.txt": "q1 a\n2\ta\n\nq3 b\nq1 a\n",
}
REFUSED = {
    "two.txt": ("q1 a\n\nq1 b\n", "line 3: query 'q1' is in two folds, 'a' and 'b'"),
    "two.json": ('[["q1"], ["q1"]]', "fold '2': query 'q1' is in two folds, '1' and '2'"),
    "columns.txt": ("q1 a\nq2\n", "line 2: 1 columns, folds have 2"),
    "broken.json": ("[[", "broken.json: not valid JSON"),
    "number.json": ("7", "number.json: not folds"),
    "truth.json": ('{"a": [true]}', "truth.json: not folds"),
    "text.json": ('{"a": "q1"}', "text.json: not folds"),
    "empty.txt": ("\n", "empty.txt: no folds"),
    "empty.json": ("{}", "empty.json: no folds"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_folds_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(ACCEPTED[name], encoding="utf-8")
    assert read_folds(tmp_path / name) == {"a": ("q1", "2"), "b": ("q3",)}


def test_lists_without_names_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "folds.json").write_text('[["q1"], ["q2", "q3"]]', encoding="utf-8")
    assert read_folds(tmp_path / "folds.json") == {"1": ("q1",), "2": ("q2", "q3")}


@pytest.mark.parametrize("name", REFUSED)
def test_other_files_are_refused(name: str, tmp_path: Path) -> None:
    content, expected = REFUSED[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as refused:
        read_folds(tmp_path / name)
    assert expected in str(refused.value)


def test_a_file_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: cannot be read: No such file"):
        read_folds(tmp_path / "none.json")
