from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hypencli.data.training import read_training_rows, write_training_rows, writing
from hypencli.errors import DataError, UsageError
from hypencli.records import Query, TrainingItem, TrainingRow

ROWS = [
    TrainingRow(
        Query(str(i), f"query {i}"),
        (TrainingItem("d1", f"text {i}", 0.1 + i, "positive"), TrainingItem("d2", "other")),
    )
    for i in range(7)
]
ENDINGS = [".jsonl", ".jsonl.gz", ".parquet"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_are_counted_and_read_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows{ending}"
    path.write_bytes(b"what was there before")
    assert write_training_rows(path, iter(ROWS)) == 7
    assert read_training_rows(path) == ROWS
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_jsonl_is_the_published_format(tmp_path: Path) -> None:
    write_training_rows(tmp_path / "rows.jsonl", ROWS[:1])
    assert json.loads((tmp_path / "rows.jsonl").read_text(encoding="utf-8")) == {
        "query": {"id": "0", "content": "query 0"},
        "items": [
            {"id": "d1", "content": "text 0", "score": 0.1, "type": "positive"},
            {"id": "d2", "content": "other"},
        ],
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_rows_are_the_same_bytes(tmp_path: Path, ending: str) -> None:
    paths = [tmp_path / f"{name}{ending}" for name in ("one", "two")]
    for path in paths:
        write_training_rows(path, ROWS)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_parquet_is_written_in_groups_of_bounded_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_GROUP_CHARACTERS", 30)
    write_training_rows(tmp_path / "rows.parquet", ROWS)
    assert read_training_rows(tmp_path / "rows.parquet") == ROWS
    groups = pq.ParquetFile(tmp_path / "rows.parquet").metadata
    # A row has 18 characters of text: two of them pass the 30.
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [2, 2, 2, 1]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interruption_leaves_what_was_there(tmp_path: Path, ending: str) -> None:
    def interrupted() -> Iterator[TrainingRow]:
        yield ROWS[0]
        raise KeyboardInterrupt

    path = tmp_path / f"rows{ending}"
    path.write_bytes(b"precious")
    with pytest.raises(KeyboardInterrupt):
        write_training_rows(path, interrupted())
    assert path.read_bytes() == b"precious"
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be told from"):
        write_training_rows(tmp_path / "rows.csv", ROWS)
    with pytest.raises(DataError, match="cannot be written: No such file"):
        write_training_rows(tmp_path / "nowhere" / "rows.jsonl", ROWS)
    with pytest.raises(DataError, match="no training rows to write"):
        write_training_rows(tmp_path / "rows.jsonl", [])
    assert list(tmp_path.iterdir()) == []
