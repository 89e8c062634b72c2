"""Training files: JSONL (also ``.gz``), Parquet or Arrow, recognised by their first bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, cast

from hypencli.data.reading.lines import (
    decode_lines,
    file_sha256,
    open_bytes,
    parse_json_object,
    summarise_file,
)
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


def rows_of(path: Path, on_read: Callable[[str], None]) -> Iterator[TrainingRow]:
    """Read the rows of a file one by one.

    Args:
        path: The file.
        on_read: Called after the last row with the :func:`sha256_of` of what was read: of the
            lines themselves for JSONL, of the file after it was read otherwise.

    Raises:
        DataError: The file is damaged or has another schema, or a row is malformed. The message
            names the line (JSONL) or the row (Parquet, Arrow).
    """
    match format_of(path):
        case "jsonl":
            with open_bytes(path) as stream:
                hashed = _HashedLines(stream)
                for line in decode_lines(cast("BinaryIO", hashed), str(path)):
                    values = parse_json_object(line, str(path))
                    yield training_row(values, f"{path}, line {line.number}")
            on_read(hashed.sha256)
        case "parquet":
            from hypencli.data.training.columns import parquet_rows

            yield from parquet_rows(path)
            on_read(file_sha256(path))
        case "arrow":
            from hypencli.data.training.columns import arrow_rows

            yield from arrow_rows(path)
            on_read(file_sha256(path))


class _HashedLines:
    """A stream of lines that hashes what is read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """SHA-256 of all that was read."""
        return self._digest.hexdigest()

    def readline(self, limit: int) -> bytes:
        """Read the next line, or at most ``limit`` bytes of it."""
        line = self._stream.readline(limit)
        self._digest.update(line)
        return line


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file: of the decompressed text for JSONL, of the bytes otherwise.

    Raises:
        DataError: The file cannot be read.
    """
    if format_of(path) == "jsonl":
        return summarise_file(path).sha256
    return file_sha256(path)
