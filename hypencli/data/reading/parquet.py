"""Parquet files of others: their sizes are read in the footer before a column is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAX_ROW_GROUP_BYTES = 16 * 2**30
"""Maximum size of a row group in memory."""

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
_OFFSET_BYTES = 4
"""Least bytes of a string in memory."""


@contextmanager
def open_parquet(
    path: Path, *, dictionaries: Sequence[str] = (), limit: int = MAX_ROW_GROUP_BYTES
) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file whose row groups fit in memory.

    A file of a few kilobytes can name sizes of many gigabytes, which a reader would take at once.

    Args:
        path: The file.
        dictionaries: Columns of strings to read as dictionaries, so that a string that a small file
            repeats millions of times is in memory once.
        limit: Maximum size of a row group in bytes.

    Raises:
        DataError: The footer names a larger row group, a size below 0, or columns that its schema
            does not have.
        pyarrow.ArrowException: The file is not Parquet.
        OSError: The file cannot be read.
    """
    import pyarrow.parquet as pq

    from hypestore import DamagedArtifact, refuse_odd_footer

    names = list(dictionaries)
    with pq.ParquetFile(path, read_dictionary=names, pre_buffer=False) as file:
        metadata = file.metadata
        try:
            refuse_odd_footer(path, metadata)
        except DamagedArtifact as error:
            raise DataError(error.message, hint="Write the file again.") from error
        for group in range(metadata.num_row_groups):
            columns = (metadata.row_group(group).column(i) for i in range(metadata.num_columns))
            sizes = [
                (one.total_uncompressed_size, one.num_values * _width(one.physical_type))
                for one in columns
            ]
            size = sum(map(max, sizes))
            if size > limit or any(min(pair) < 0 for pair in sizes):
                raise DataError(
                    f"{path}: row group {group} takes {size:,} bytes, {limit:,} at most are read.",
                    hint="Write the file with smaller row groups.",
                )
        yield file


def _width(physical_type: str) -> int:
    return _WIDTHS.get(physical_type, _OFFSET_BYTES)
