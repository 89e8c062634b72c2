"""Training files: JSONL (also ``.gz``), Parquet or Arrow, recognised by their first bytes."""

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
"""First bytes of an Arrow stream. No UTF-8 text begins with them."""


def format_of(path: Path) -> FileFormat:
    """Return the format of a file, from its first bytes, else from its ending.

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
    """Read the rows of a file one by one.

    Raises:
        DataError: The file is damaged or has another schema, or a row is malformed. The message
            names the line (JSONL) or the row (Parquet, Arrow).
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
    """Return the SHA-256 of a file: of the decompressed text for JSONL, of the bytes otherwise.

    Raises:
        DataError: The file cannot be read.
    """
    if format_of(path) == "jsonl":
        return summarise_file(path).sha256
    return file_sha256(path)
