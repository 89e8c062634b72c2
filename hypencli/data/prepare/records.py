"""Read rows of any schema from JSONL, Parquet and Arrow files, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.data.reading.lines import parse_json_object, read_lines
from hypencli.data.reading.parquet import open_parquet
from hypencli.data.reading.rows import checked_id, checked_text
from hypencli.data.training.formats import format_of
from hypencli.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 64


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file.

    Attributes:
        where: File and line, or file and row, for messages.
        values: Field -> value.
    """

    where: str
    values: Mapping[str, Any]

    def value(self, key: str) -> Any:
        """Return the value of a field.

        Raises:
            DataError: The field is missing.
        """
        if key not in self.values:
            fields = ", ".join(map(repr, self.values)) or "none"
            raise DataError(f"{self.where}: no {key!r} here; its keys are {fields}.")
        return self.values[key]

    def text(self, key: str) -> str:
        """Return the text of a field, which may be empty.

        Raises:
            DataError: The field is missing or no text.
        """
        return checked_text(self.value(key), f"{self.where}, {key!r}")

    def identifier(self, key: str) -> str:
        """Return the id in a field as text.

        Raises:
            DataError: The field is missing or no id.
        """
        return checked_id(self.value(key), f"{self.where}, {key!r}")

    def flag(self, key: str) -> bool:
        """Return the truth value of a field.

        Raises:
            DataError: The field is missing or no truth value.
        """
        value = self.value(key)
        if not isinstance(value, bool):
            raise DataError(
                f"{self.where}, {key!r}: true or false was expected, not {value!r:.80}."
            )
        return value

    def records(self, key: str) -> list[Record]:
        """Return the list of objects of a field; empty if the field is null.

        Raises:
            DataError: The field is missing or no list of objects.
        """
        value = self.value(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise DataError(f"{self.where}, {key!r}: a list of objects was expected.")
        return [Record(f"{self.where}, {key}[{i}]", one) for i, one in enumerate(value)]


def titled(record: Record, title_key: str, text_key: str) -> str:
    """Join title and text by a full stop and a line break.

    If the title is blank, the result is the text alone.
    """
    title, text = record.text(title_key), record.text(text_key)
    return f"{title}.\n{text}" if title.strip() else text


def records_of(path: Path) -> Iterator[Record]:
    """Read the rows of a file one by one, in the format that its first bytes show.

    Raises:
        DataError: The file cannot be read, or a line is no JSON object.
    """
    match format_of(path):
        case "jsonl":
            for line in read_lines(path):
                yield Record(f"{path}, line {line.number}", parse_json_object(line, str(path)))
        case "parquet":
            yield from _parquet_records(path)
        case "arrow":
            yield from _arrow_records(path)


def _parquet_records(path: Path) -> Iterator[Record]:
    import pyarrow as pa

    try:
        with open_parquet(path) as file:
            yield from _rows(file.iter_batches(_BATCH_ROWS), path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error


def _arrow_records(path: Path) -> Iterator[Record]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
            yield from _rows(stream, path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as an Arrow stream: {error}") from error


def _rows(batches: Iterator[pa.RecordBatch], path: Path) -> Iterator[Record]:
    number = 0
    for batch in batches:
        batch.validate(full=True)  # strings may be no UTF-8, and lists may end beyond their values
        for start in range(0, len(batch), _BATCH_ROWS):
            for values in batch.slice(start, _BATCH_ROWS).to_pylist():
                number += 1
                yield Record(f"{path}, row {number}", values)
