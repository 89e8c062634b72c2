"""Small Parquet tables: written whole, read with their checksums verified."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hypestore.errors import DamagedArtifact, InvalidContent, refuse_open_limit
from hypestore.files import atomic_path, refuse_link
from hypestore.footer import refuse_odd_footer

MAX_TABLE_BYTES = 16 * 2**30
"""Maximum size of a table in memory."""

_COUNTED_BYTES = 2**26
"""Bytes of strings in a column chunk from which on they are counted one by one."""

_WIDTHS = {
    "BOOLEAN": 1,
    "INT32": 4,
    "FLOAT": 4,
    "INT64": 8,
    "DOUBLE": 8,
    "INT96": 12,
    "BYTE_ARRAY": 4,
}
"""Parquet type -> bytes of a value in memory; of a string, those of its offset."""


def string_array(values: Sequence[str], what: str) -> pa.StringArray:
    """An Arrow array of strings.

    Raises:
        InvalidContent: A value is not a string, or has no UTF-8 form.
    """
    try:
        array = pa.array(values, pa.string())
    except (pa.ArrowException, TypeError, UnicodeError) as error:
        raise InvalidContent(f"The {what} are not all UTF-8 strings: {error}.") from error
    if array.null_count:
        raise InvalidContent(f"One of the {what} is None.")
    return array


def taken(strings: pa.StringArray, rows: np.ndarray[Any, Any]) -> list[str]:
    """The strings at ``rows`` [n], in that order; the array must have no nulls.

    They are read from Arrow's buffers. Arrow's own ``take`` is faster for a thousand rows (0.04
    instead of 0.2 ms), but first imports ``pyarrow.compute`` (40 ms).
    """
    _, bounds, characters = strings.buffers()
    if not len(rows) or bounds is None or characters is None:
        return [""] * len(rows)
    offsets = np.frombuffer(bounds, dtype=np.int32)[strings.offset :]
    text = memoryview(characters)
    starts, stops = offsets[rows].tolist(), offsets[rows + 1].tolist()
    return [str(text[start:stop], "utf-8") for start, stop in zip(starts, stops, strict=True)]


def utf8_array(strings: Sequence[str]) -> pa.StringArray:
    """An array of strings; ``pyarrow.array`` would import pandas first, in 0.3 s."""
    encoded = [text.encode("utf-8") for text in strings]
    bounds = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum([len(text) for text in encoded], out=bounds[1:])
    return pa.StringArray.from_buffers(
        len(encoded), pa.py_buffer(bounds), pa.py_buffer(b"".join(encoded))
    )


def int64_array(numbers: np.ndarray[Any, Any]) -> pa.Int64Array:
    """An array of numbers ``[n]``; ``pyarrow.array`` would import pandas first, in 0.3 s."""
    buffer = pa.py_buffer(np.ascontiguousarray(numbers, dtype=np.int64))
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, buffer])


def numbers_in(array: pa.Array) -> np.ndarray[Any, Any]:
    """The numbers ``[n]`` of an array without nulls; its ``to_numpy`` would import pandas first."""
    buffer = array.buffers()[1]
    dtype = np.dtype(array.type.to_pandas_dtype())
    if buffer is None or not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(buffer, dtype)[array.offset : array.offset + len(array)]


def refuse_bomb(
    path: Path,
    metadata: pq.FileMetaData,
    *,
    columns: Collection[str] | None = None,
    groups: Iterable[int] | None = None,
    limit: int = MAX_TABLE_BYTES,
    exact: bool = False,
) -> int:
    """Refuse a table that takes too much memory, before a column is read.

    A file of a few kilobytes can name sizes of many gigabytes in its footer. It can also repeat one
    long string millions of times by a dictionary, which the footer does not show. Then the lengths
    are counted, without the strings being repeated.

    Args:
        path: The file.
        metadata: Its footer.
        columns: Columns to be read, by name; None for all.
        groups: Row groups to be read; None for all.
        limit: Maximum size in bytes.
        exact: Count the strings also where the file is too small to exceed the limit.

    Returns:
        Size in bytes of what is to be read. Strings that a dictionary repeats are counted if
            ``exact`` is set, or if they could exceed the limit; else they count once.

    Raises:
        DamagedArtifact: The table is larger, or its footer names a size below 0.
    """
    refuse_odd_footer(path, metadata)
    size = repeatable = 0
    repeated: list[tuple[int, str]] = []
    schema = metadata.schema
    for group in range(metadata.num_row_groups) if groups is None else groups:
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            if columns is not None and column.path_in_schema not in columns:
                continue
            values, packed = column.num_values, column.total_uncompressed_size
            if values < 0 or packed < 0:
                raise DamagedArtifact(f"{path}: its footer names a size below 0.")
            width = _WIDTHS.get(column.physical_type) or schema.column(index).length
            size += max(packed, values * width)
            if column.has_dictionary_page and column.physical_type == "BYTE_ARRAY":
                repeated.append((group, column.path_in_schema))
                repeatable += values * packed
    if size <= limit and (exact or size + repeatable > limit):
        size += sum(_bytes_of_strings(path, group, name) for group, name in repeated)
    if size > limit:
        raise DamagedArtifact(
            f"{path}: its columns take {size:,} bytes or more, {limit:,} at most are read."
        )
    return size


def _bytes_of_strings(path: Path, group: int, name: str) -> int:
    """Size of the strings of a column in a row group; repetitions are counted and not made.

    The longest string of the dictionary bounds it. Where that is enough, no row is read.
    """
    import pyarrow.compute as pc

    with pq.ParquetFile(path, read_dictionary=[name], pre_buffer=False) as parquet:
        first = next(parquet.iter_batches(1, row_groups=[group], columns=[name]), None)
        if first is None:
            return 0
        if not pa.types.is_dictionary(first.column(0).type):
            raise DamagedArtifact(f"{path}: the column {name} is not one of strings.")
        longest = pc.max(pc.binary_length(first.column(0).dictionary)).as_py() or 0
        bound: int = longest * parquet.metadata.row_group(group).num_rows
        if bound <= _COUNTED_BYTES:
            return bound
        counted = 0
        for batch in parquet.iter_batches(row_groups=[group], columns=[name]):
            lengths = pc.binary_length(batch.column(0).dictionary).cast(pa.int64())
            counted += pc.sum(lengths.take(batch.column(0).indices)).as_py() or 0
        return counted


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table atomically, as zstd Parquet with page checksums."""
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file.

    Raises:
        DamagedArtifact: The file is missing, a link, truncated, too large for memory, fails a
            checksum, or has a string that is not UTF-8.
    """
    refuse_link(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
            refuse_bomb(path, parquet.metadata)
            table = parquet.read()
            table.validate(full=True)  # strings may be no UTF-8
            expected = parquet.metadata.num_rows
    except FileNotFoundError:
        raise DamagedArtifact(f"{path} is missing.", hint="hype doctor") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        refuse_open_limit(error)
        raise DamagedArtifact(f"{path}: {error}.", hint="hype doctor --checksums") from error
    if len(table) != expected:  # a damaged page header makes pyarrow end early, without an error
        raise DamagedArtifact(
            f"{path}: {len(table)} rows, expected {expected}.", hint="hype doctor --checksums"
        )
    return table
