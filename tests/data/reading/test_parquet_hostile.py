"""Parquet files of others: one that unpacks to gigabytes is refused by its footer."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hypencli.data.prepare.records import records_of
from hypencli.data.reading.parquet import open_parquet
from hypencli.data.runs import read_run
from hypencli.data.training.columns import parquet_rows
from hypencli.errors import DataError


def rows_of_one(path: Path, *, values: int) -> None:
    """One training row whose list of scores is long and equal, so that it packs to nothing."""
    items = pa.StructArray.from_arrays(
        [
            pa.array(["d"]).take(pa.array([0] * values)),
            pa.array(["x"]).take(pa.array([0] * values)),
            pa.array([1.0] * values),
        ],
        names=["id", "content", "score"],
    )
    table = pa.table(
        {
            "query": pa.array([{"id": "q", "content": "what"}]),
            "items": pa.ListArray.from_arrays(pa.array([0, values], pa.int32()), items),
        }
    )
    pq.write_table(table, path, compression="zstd")


def test_a_row_group_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows_of_one(path, values=2_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="at most are read"), open_parquet(path, limit=2**24):
        pass
    with open_parquet(path, limit=2**26):
        pass


@pytest.mark.parametrize("read", [parquet_rows, records_of, read_run])
def test_every_reader_looks_at_the_footer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: object
) -> None:
    path = tmp_path / "rows.parquet"
    if read is read_run:
        run = {"query_id": ["q"], "doc_id": ["d"], "rank": [1], "score": [1.0]}
        pq.write_table(pa.table(run), path)
    else:
        rows_of_one(path, values=1_000)
    metadata = pq.read_metadata(path)
    real = pq.ParquetFile

    class Claiming:
        """The file with a footer that claims 40 GB, as a crafted file can."""

        num_row_groups, num_columns, schema = 1, 1, metadata.schema

        def row_group(self, group: int) -> object:
            return self

        def column(self, index: int) -> object:
            return self

        total_uncompressed_size = 40 * 2**30
        num_values = metadata.num_rows
        physical_type = "BYTE_ARRAY"

    class File(real):  # type: ignore[misc, valid-type]
        metadata = Claiming()

    monkeypatch.setattr(pq, "ParquetFile", File)
    with pytest.raises(DataError, match=r"42,949,672,960 bytes"):
        list(read(path))  # type: ignore[operator]


def test_a_footer_that_would_end_the_process_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schema of one file, and the row groups of another one."""
    path, other = tmp_path / "run.parquet", tmp_path / "other.parquet"
    pq.write_table(pa.table({"query_id": ["q"], "doc_id": ["d"], "score": [1.0]}), path)
    pq.write_table(pa.table({"query_id": ["q"]}), other)

    class File(pq.ParquetFile):  # type: ignore[misc]
        metadata = pq.read_metadata(other)

    monkeypatch.setattr(pq, "ParquetFile", File)
    with pytest.raises(DataError, match="has 3 columns, and the schema 1"):
        list(read_run(path).results)


@pytest.mark.parametrize("place", [1, -1])
def test_a_place_outside_of_a_dictionary_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """Pages of a damaged file can hold any places."""
    path = tmp_path / "run.parquet"
    run = {"query_id": ["q"], "doc_id": ["d"], "rank": pa.array([1], pa.int32()), "score": [1.0]}
    pq.write_table(pa.table(run), path)
    places = pa.array([place], pa.int32())
    ids = pa.DictionaryArray.from_arrays(places, pa.array(["q"]), safe=False)
    batch = pa.RecordBatch.from_pydict({**run, "query_id": ids})

    class File(pq.ParquetFile):  # type: ignore[misc]
        def iter_batches(self, **options: object) -> list[pa.RecordBatch]:
            return [batch]

    monkeypatch.setattr(pq, "ParquetFile", File)
    with pytest.raises(DataError, match="not a run in Parquet"):
        read_run(path)


def test_a_long_id_of_a_run_is_in_memory_once(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    rows = 3_000
    query = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["q" * 2**20])
    table = {
        "query_id": query,
        "doc_id": [f"d{i}" for i in range(rows)],
        "rank": pa.array(range(1, rows + 1), pa.int32()),
        "score": pa.array([1.0] * rows, pa.float32()),
    }
    pq.write_table(pa.table(table), path, store_schema=False)
    (query_id,) = read_run(path).results
    assert query_id == "q" * 2**20
