"""One training file: JSONL (``.gz`` too), Parquet, or Arrow, told apart by its first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from hypencli.data.reading.lines import file_sha256, parse_json_object, read_lines, summarise_file
from hypencli.data.training.row import training_row
from hypencli.errors import DataError
from hypencli.records import TrainingRow

FileFormat: TypeAlias = Literal["jsonl", "parquet", "arrow"]

_PARQUET_MAGIC = b"PAR1"
_ARROW_STREAM = b"\xff\xff\xff\xff"
"""How a stream of Arrow messages begins; no UTF-8 text does."""


def format_of(path: Path) -> FileFormat:
    """How a file is to be read: by its first bytes, else by its ending.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            first = stream.read(4)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if first == _PARQUET_MAGIC or path.suffix == ".parquet":
        return "parquet"
    return "arrow" if first == _ARROW_STREAM or path.suffix == ".arrow" else "jsonl"


def rows_of(path: Path) -> Iterator[TrainingRow]:
    """The rows of one file, one by one.

    Raises:
        DataError: The file is damaged or of another schema, or a row is not what it should be; the
            line (JSONL) or the row (Parquet, Arrow) is named.
    """
    match format_of(path):
        case "jsonl":
            for line in read_lines(path):
                values = parse_json_object(line, str(path))
                yield training_row(values, f"{path}, line {line.number}")
        case "parquet":
            from hypencli.data.training.columns import parquet_rows

            yield from parquet_rows(path)
        case "arrow":
            from hypencli.data.training.columns import arrow_rows

            yield from arrow_rows(path)


def sha256_of(path: Path) -> str:
    """SHA-256 of one file: of the text of JSONL, compressed or not; of the bytes of the others.

    Raises:
        DataError: The file cannot be read.
    """
    if format_of(path) == "jsonl":
        return summarise_file(path).sha256
    return file_sha256(path)
