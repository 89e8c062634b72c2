"""Tables of a few kilobytes that take gigabytes of memory are refused before a column is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hypestore import DamagedArtifact
from hypestore.tables import read_table, refuse_bomb


def repeated(path: Path, *, rows: int = 40_000) -> None:
    """One string of a megabyte, repeated by a dictionary: the footer shows a megabyte."""
    indices = pa.array([0] * 10 + [1] * rows, pa.int32())
    text = pa.DictionaryArray.from_arrays(indices, pa.array(["a", "x" * 2**20]))
    pq.write_table(pa.table({"text": text}), path, compression="zstd", store_schema=False)


def many_rows(path: Path) -> None:
    """A column of equal numbers: a few bytes for each million rows."""
    schema = pa.schema([pa.field("k", pa.int64(), nullable=False)])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        one = pa.table([pa.array([7] * 1_000_000)], schema=schema)
        for _ in range(20):
            writer.write_table(one)


def test_a_string_repeated_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    repeated(path)
    assert path.stat().st_size < 10_000
    with pytest.raises(DamagedArtifact, match="at most are read"):
        read_table(path)


@pytest.mark.parametrize("make", [repeated, many_rows])
def test_a_table_is_as_large_as_it_is_in_memory(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "table.parquet"
    if make is repeated:
        repeated(path, rows=200)
    else:
        make(path)
    size = pq.read_table(path).nbytes
    metadata = pq.read_metadata(path)
    assert path.stat().st_size < size / 100
    with pytest.raises(DamagedArtifact, match="at most are read"):
        refuse_bomb(path, metadata, limit=size // 2)
    assert size * 0.9 < refuse_bomb(path, metadata, limit=2 * size, exact=True) < 1.1 * size


def test_only_what_is_read_counts(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    many_rows(path)
    metadata = pq.read_metadata(path)
    assert refuse_bomb(path, metadata, groups=[0], limit=10**7) < 10**7
    assert refuse_bomb(path, metadata, columns=("other",), limit=1) == 0
