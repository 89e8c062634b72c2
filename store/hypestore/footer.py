"""Footers of Parquet files, checked before pyarrow describes their column chunks.

pyarrow ends the process where a row group has fewer columns than the schema, where the type, the
level histograms or the sizes of strings do not fit the schema, or where the compression is none
that the format has: it raises a C++ error that nothing catches.

Source: the Apache Parquet format (``parquet.thrift``: ``FileMetaData``, ``RowGroup``,
``ColumnChunk``, ``ColumnMetaData``, ``SizeStatistics``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from hypestore.errors import DamagedArtifact
from hypestore.thrift import ThriftReader, ThriftValue

_TAIL_BYTES = 8
_ROW_GROUPS, _COLUMNS, _CHUNK, _ENCRYPTION, _SIZES = 4, 1, 3, 8, 16
_PHYSICAL_TYPE, _STRING_BYTES, _REPETITION, _DEFINITION = 1, 1, 2, 3
_CODEC, _CODECS = 4, range(8)
_TYPES = (
    *("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY"),
    "FIXED_LEN_BYTE_ARRAY",
)
"""Physical types by their numbers in a footer."""


def refuse_odd_footer(path: Path, metadata: pq.FileMetaData) -> None:
    """Refuse a file whose column chunks pyarrow cannot describe.

    Args:
        path: The file.
        metadata: Its footer, as pyarrow read it.

    Raises:
        DamagedArtifact: A row group has other columns than the schema, or sizes that do not fit it.
    """
    try:
        problem = next(_problems(_footer(path), metadata.schema), None)
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        problem = "its footer cannot be read"
    if problem is not None:
        raise DamagedArtifact(f"{path}: {problem}.", hint="hype doctor --checksums")


def _footer(path: Path) -> dict[int, ThriftValue]:
    with path.open("rb") as stream:
        end = stream.seek(0, 2)
        stream.seek(end - _TAIL_BYTES)
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(max(0, end - _TAIL_BYTES - length))
        return ThriftReader(memoryview(stream.read(length))).struct()


def _problems(footer: dict[int, ThriftValue], schema: pq.ParquetSchema) -> Iterator[str]:
    described = [schema.column(index) for index in range(len(schema))]
    for group in _list(footer[_ROW_GROUPS]):
        columns = _list(_fields(group)[_COLUMNS])
        if len(columns) != len(described):
            yield f"a row group has {len(columns)} columns, and the schema {len(described)}"
        for column, known in zip(columns, described, strict=True):
            if _ENCRYPTION in _fields(column):
                yield "a column is encrypted"
            chunk = _fields(_fields(column)[_CHUNK])
            if chunk[_PHYSICAL_TYPE] != _TYPES.index(known.physical_type):
                yield "a column has another type than its schema"
            if chunk[_CODEC] not in _CODECS:
                yield f"a column has the unknown compression {chunk[_CODEC]!r:.20}"
            sizes = _fields(chunk.get(_SIZES, {}))
            counted = (
                (_REPETITION, known.max_repetition_level),
                (_DEFINITION, known.max_definition_level),
            )
            lengths = [(len(_list(sizes.get(number, []))), most + 1) for number, most in counted]
            if any(length not in (0, expected) for length, expected in lengths):
                yield "the levels of a column have other counts than its schema"
            if _STRING_BYTES in sizes and known.physical_type != "BYTE_ARRAY":
                yield "a column without strings has a size of strings"


def _fields(value: ThriftValue) -> dict[int, ThriftValue]:
    if not isinstance(value, dict):
        raise TypeError("not a struct")
    return value


def _list(value: ThriftValue) -> list[ThriftValue]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value
