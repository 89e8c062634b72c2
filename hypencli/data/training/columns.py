"""Read training rows from the nested columns of Parquet and Arrow files, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hypencli.data.reading.parquet import open_parquet
from hypencli.data.training.row import training_row
from hypencli.errors import DataError
from hypencli.records import TrainingRow

EXPECTED = {
    "query": "struct<id: string, content: string>",
    "items": "list<struct<id: string, content: string, score: double, type: string>>",
}
"""The two columns. Ids may be integers, score and type may be missing. Other fields are ignored."""

_QUERY_FIELDS = ("id", "content")
_ITEM_FIELDS = ("id", "content", "score", "type")
_BATCH_ROWS = 64


def parquet_rows(path: Path) -> Iterator[TrainingRow]:
    """Read the rows of a Parquet file, without columns and fields that are not needed.

    Raises:
        DataError: The file is not Parquet, is damaged or has another schema, or a row is malformed.
    """
    try:
        with open_parquet(path) as file:
            _check_schema(file.schema_arrow, path)
            batches = file.iter_batches(_BATCH_ROWS, columns=_leaves(file.schema))
            yield from _rows(batches, path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error


def arrow_rows(path: Path) -> Iterator[TrainingRow]:
    """Read the rows of a file of Arrow stream messages, which the ``datasets`` library writes.

    Raises:
        DataError: The file is not such a stream, is damaged or has another schema, or a row is
            malformed.
    """
    try:
        with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
            _check_schema(stream.schema, path)
            yield from _rows(_small(stream), path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as an Arrow stream: {error}") from error


def _small(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, len(batch), _BATCH_ROWS):
            yield batch.slice(start, _BATCH_ROWS)


def _leaves(schema: pq.ParquetSchema) -> list[str]:
    """List the required leaf columns, such as ``query.id`` and ``items.list.element.score``."""
    paths = [schema.column(i).path for i in range(len(schema))]
    depths = {"query": (2, _QUERY_FIELDS), "items": (4, _ITEM_FIELDS)}
    leaves = []
    for path in paths:
        parts = path.split(".")
        depth, fields = depths.get(parts[0], (0, ()))
        if len(parts) == depth and parts[-1] in fields:
            leaves.append(path)
    return leaves


def _check_schema(schema: pa.Schema, path: Path) -> None:
    for name, expected in EXPECTED.items():
        if name not in schema.names:
            columns = ", ".join(schema.names) or "none"
            raise DataError(
                f"{path}: no column {name!r}; its columns are {columns}.",
                hint=f"Expected: {name}: {expected}",
            )
        problem = _problem(schema.field(name).type, is_list=name == "items")
        if problem is not None:
            raise DataError(
                f"{path}: column {name!r}: {problem}.", hint=f"Expected: {name}: {expected}"
            )


def _problem(type_: pa.DataType, *, is_list: bool) -> str | None:
    """Describe the error in the type of a column; None if the type is correct."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if is_list:
        if not any(is_a(type_) for is_a in lists):
            return f"it is {_short(type_)}, not a list"
        type_ = type_.value_type
    if not pa.types.is_struct(type_):
        return f"{_short(type_)} where a struct was expected"
    fields = {field.name: field.type for field in type_}
    for name, checks in _TYPES.items():
        if name in ("id", "content") and name not in fields:
            return f"no field {name!r} in {_short(type_)}"
        if name in fields and not any(is_a(_plain(fields[name])) for is_a in checks):
            return f"field {name!r} is {_short(fields[name])}"
    return None


_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_TYPES = {
    "id": (*_TEXT, pa.types.is_integer),
    "content": _TEXT,
    "score": (pa.types.is_null, pa.types.is_floating, pa.types.is_integer),
    "type": (pa.types.is_null, *_TEXT),
}


def _plain(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _short(type_: pa.DataType) -> str:
    text = str(type_)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _rows(batches: Iterable[pa.RecordBatch], path: Path) -> Iterator[TrainingRow]:
    number = 0
    for batch in batches:
        batch.validate(full=True)  # strings may be no UTF-8, and lists may end beyond their values
        for values in _values(batch):
            number += 1
            yield training_row(values, f"{path}, row {number}")


def _values(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch as JSON values.

    Conversion by column is many times faster than by row.
    """
    items = batch.column("items")
    queries = _structs(batch.column("query"), _QUERY_FIELDS)
    passages = iter(_structs(items.flatten(), _ITEM_FIELDS))
    lengths = pc.list_value_length(items).to_pylist()
    for query, length in zip(queries, lengths, strict=True):
        own = None if length is None else [next(passages) for _ in range(length)]
        yield {"query": query, "items": own}


def _structs(array: pa.StructArray, fields: tuple[str, ...]) -> list[dict[str, Any] | None]:
    """Convert an array of structs to dictionaries of the existing fields; null becomes None."""
    names = [name for name in fields if array.type.get_field_index(name) >= 0]
    columns = [pc.struct_field(array, name).to_pylist() for name in names]
    is_valid_row = array.is_valid().to_pylist()
    return [
        dict(zip(names, row, strict=True)) if valid else None
        for valid, row in zip(is_valid_row, zip(*columns, strict=True), strict=True)
    ]
