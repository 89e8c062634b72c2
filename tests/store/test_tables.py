"""Strings at some rows, out of Arrow's buffers: what Arrow's own ``take`` gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hypestore.tables import taken


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
