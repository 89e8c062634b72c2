"""Strings at some rows, out of Arrow's buffers: what Arrow's own ``take`` gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypestore.errors import DamagedArtifact
from hypestore.tables import read_table, taken


@given(
    strings=st.lists(st.text(max_size=4), min_size=1, max_size=20),
    first=st.integers(0, 19),
    rows=st.lists(st.integers(0, 19), max_size=30),
)
def test_strings_are_those_that_arrow_takes(
    strings: list[str], first: int, rows: list[int]
) -> None:
    array = pa.array(strings, pa.string())[min(first, len(strings) - 1) :]
    asked = np.array(rows, dtype=np.int64) % len(array)
    assert taken(array, asked) == array.take(pa.array(asked)).to_pylist()


def test_none_of_no_strings() -> None:
    assert taken(pa.array([], pa.string()), np.array([], dtype=np.int64)) == []


def not_utf8(column: str) -> pa.Table:
    """A table with one string that is not UTF-8."""
    broken = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, 2], np.int32).tobytes()), pa.py_buffer(b"\x80\xff")
    )
    return pa.table({column: broken})


def test_a_string_that_is_not_utf8_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(not_utf8("query_id"), path)
    with pytest.raises(DamagedArtifact, match="UTF8"):
        read_table(path)
