"""Parquet page headers: where the values of a page are.

Sources: the Apache Parquet format (``parquet.thrift``, structs ``PageHeader``, ``DataPageHeader``
and ``DataPageHeaderV2``) and the Apache Thrift compact protocol specification.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypestore.thrift import ThriftReader, ThriftValue

_DATA_PAGE, _DATA_PAGE_V2 = 0, 3
_PLAIN, _RLE = 0, 3


@dataclass(frozen=True, slots=True)
class DataPage:
    """The one data page of a column chunk.

    Attributes:
        header_bytes: Length of the header; the page follows it.
        page_bytes: Length of the page in the file, with levels and values.
        num_values: Number of values, nulls included.
        level_bytes: Length of the repetition and definition levels before the values.
    """

    header_bytes: int
    page_bytes: int
    num_values: int
    level_bytes: int


def read_data_page(
    chunk: memoryview, *, repetition_levels: bool, definition_levels: bool
) -> DataPage | None:
    """Read the header of the first page of a column chunk.

    Args:
        chunk: The whole column chunk; only the header and the lengths of the levels are read.
        repetition_levels: Whether the column has repetition levels.
        definition_levels: Whether the column has definition levels.

    Returns:
        The lengths of the page; None unless it is an uncompressed data page with PLAIN values and
        RLE levels.
    """
    reader = ThriftReader(chunk)
    try:
        header = reader.struct()
        page_bytes = _integer(header[3])
        if header[2] != header[3]:  # uncompressed and stored size differ: compressed
            return None
        if header[1] == _DATA_PAGE:
            levels = int(repetition_levels) + int(definition_levels)
            num_values, level_bytes = _version_1(header[5], chunk, reader.at, levels)
        elif header[1] == _DATA_PAGE_V2:
            num_values, level_bytes = _version_2(header[8])
        else:
            return None
    except (IndexError, KeyError, ValueError, RecursionError):
        return None
    return DataPage(reader.at, page_bytes, num_values, level_bytes)


def _version_1(header: ThriftValue, chunk: memoryview, start: int, levels: int) -> tuple[int, int]:
    """Value count and level bytes of version 1: four bytes before each level give its length."""
    fields = _fields(header)
    if fields[2] != _PLAIN or fields[3] != _RLE or fields[4] != _RLE:
        raise ValueError("not PLAIN with RLE levels")
    at = start
    for _ in range(levels):
        if at + 4 > len(chunk):
            raise IndexError("the level streams are longer than the chunk")
        at += 4 + int.from_bytes(chunk[at : at + 4], "little")
    return _integer(fields[1]), at - start


def _version_2(header: ThriftValue) -> tuple[int, int]:
    """Value count and level bytes of version 2: the header has the lengths of both levels."""
    fields = _fields(header)
    if fields[4] != _PLAIN or fields[2] != 0:
        raise ValueError("not PLAIN, or with nulls")
    return _integer(fields[1]), _integer(fields[5]) + _integer(fields[6])


def _fields(value: ThriftValue) -> dict[int, ThriftValue]:
    if not isinstance(value, dict):
        raise ValueError("not a struct")
    return value


def _integer(value: ThriftValue) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("not a length")
    return value
