"""Read records with an id and a text from JSONL, TSV or CSV, for corpora and queries."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from hypencli.data.reading.lines import (
    BOM,
    MAX_LINE_BYTES,
    Line,
    decode_lines,
    open_bytes,
    parse_json_object,
)
from hypencli.data.reading.skipped_lines import OnMalformed, attempt, stop
from hypencli.errors import DataError

_CSV_HINT = (
    "The first line of a CSV file names its columns. A cell with a delimiter, a quote or a line "
    "break stands in double quotes, and a quote in it is written twice."
)

RowFormat: TypeAlias = Literal["jsonl", "tsv", "csv", "plain"]


class TextRow(NamedTuple):
    """One record and its position: the line number in a file, or a count from 1."""

    position: int
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a record are read.

    Attributes:
        id_key: Field of the id; None tries ``id_keys``.
        text_key: Field of the text; None tries ``text_keys``.
        title_key: Field that is put before the text if a record has it; an empty string for none.
        id_keys: Candidates for the field of the id.
        text_keys: Candidates for the field of the text.
    """

    id_key: str | None = None
    text_key: str | None = None
    title_key: str = "title"
    id_keys: tuple[str, ...] = ("id", "_id", "doc_id")
    text_keys: tuple[str, ...] = ("text", "content", "contents")

    def as_options(self) -> dict[str, str | None]:
        """Return the settings that affect the read texts, for the fingerprint of a corpus."""
        return {"id": self.id_key, "text": self.text_key, "title": self.title_key}


def format_of(name: str, first: str) -> RowFormat:
    """Return the format of a file by its ending, else by its first line."""
    stem = name.lower().removesuffix(".gz")
    if stem.endswith((".jsonl", ".ndjson", ".json")):
        return "jsonl"
    if stem.endswith(".tsv"):
        return "tsv"
    if stem.endswith(".csv") and _delimiter(first) is not None:
        return "csv"
    if first.lstrip().startswith("{"):
        return "jsonl"
    return "tsv" if "\t" in first else "plain"


def read_rows(
    lines: Iterable[Line],
    name: str,
    fields: Fields,
    *,
    plain: bool,
    on_malformed: OnMalformed = stop,
) -> Iterator[TextRow]:
    """Read the records of a file, one a line; a record of CSV may have several lines.

    Args:
        lines: The lines that are not blank.
        name: Name of the file for messages; its ending tells the format.
        fields: Which fields to read.
        plain: Whether lines that are neither JSON nor TSV are texts with the ids 1, 2, ….
        on_malformed: Called with a line that holds no record. The first readable line decides
            which fields are used; if that is ambiguous, an error is raised in any case.

    Raises:
        DataError: The file is empty, or a line is malformed; the message names file and line.
    """
    stream = iter(lines)
    first = next(stream, None)
    if first is None:
        raise DataError(f"{name}: the file is empty.")
    lines = chain([first], stream)
    match format_of(name, first.text):
        case "jsonl":
            return _json_rows(lines, name, fields, on_malformed)
        case "tsv":
            return _tsv_rows(lines, name, fields, on_malformed)
        case "csv":
            return _csv_rows(lines, name, fields, on_malformed)
        case _ if plain:
            return _plain_rows(lines, name)
    raise DataError(
        f"{name}, line {first.number}: neither JSON nor tab-separated.",
        hint='Expected lines such as {"id": "1", "text": "..."}, or id<TAB>text; or a file '
        "NAME.csv whose first line names its columns.",
    )


def plain_texts(path: Path, size: int = 65_536) -> Iterator[str]:
    """Read the texts of a file of plain lines, those of :func:`read_rows` in a tenth of its time.

    Args:
        path: The file.
        size: Lines that are decoded at once.

    Raises:
        DataError: The file cannot be read, or a line is malformed; the message names file and line.
    """
    number, name = 0, str(path)
    with open_bytes(path) as stream:
        lines = iter(partial(stream.readline, MAX_LINE_BYTES), b"")
        while batch := list(islice(lines, size)):
            texts = _plain_batch(batch)
            if texts is None:  # a line is blank or malformed, or the first has a mark
                decoded = decode_lines(BytesIO(b"".join(batch)), name, after=number)
                texts = [row.text for row in _plain_rows(decoded, name)]
            yield from texts
            number += len(batch)


def _plain_batch(batch: list[bytes]) -> list[str] | None:
    """Return the texts of lines; None if they must be read one by one."""
    joined = b"".join(batch)
    if b"\t" in joined or joined.startswith(BOM) or max(map(len, batch)) >= MAX_LINE_BYTES:
        return None
    try:
        texts = [line.strip() for line in joined.decode("utf-8").split("\n")]
    except UnicodeDecodeError:
        return None
    if joined.endswith(b"\n"):
        texts.pop()
    return texts if all(texts) else None


def has_header(name: str, first: str, fields: Fields) -> bool:
    """Return whether the first line of a file names its columns instead of holding a record."""
    return format_of(name, first) == "tsv" and _is_header(first.split("\t"), fields)


def joined(title: str | None, text: str) -> str:
    """Return ``title + " " + text``, or ``text``, stripped as in the published code."""
    return f"{title} {text}".strip() if title else text.strip()


def checked_id(value: object, where: str) -> str:
    """Check an id, a string or an integer, and return it as text.

    Raises:
        DataError: The id is empty or of another type.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: an id must be a text or an integer, not {value!r:.80}.")
    return checked_text(value, where)


def checked_text(value: object, where: str) -> str:
    """Check a text and return it.

    Raises:
        DataError: The value is not a string, or holds half a surrogate pair, which is not Unicode.
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: a text was expected, not {value!r:.80}.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: half a surrogate pair, \\u{ord(value[error.start]):x}."
        ) from error
    return value


def _json_rows(
    lines: Iterable[Line], name: str, fields: Fields, on_malformed: OnMalformed
) -> Iterator[TextRow]:
    read: Callable[[Line, dict[str, Any]], TextRow] | None = None
    for line in lines:
        record = attempt(partial(parse_json_object, line, name), on_malformed)
        if record is None:
            continue
        read = read or _json_reader(record, line, name, fields)
        row = attempt(partial(read, line, record), on_malformed)
        if row is not None:
            yield row


def _json_reader(
    first: dict[str, Any], line: Line, name: str, fields: Fields
) -> Callable[[Line, dict[str, Any]], TextRow]:
    """Make a function from a record to a row, for records with the keys of the first one."""
    where = f"{name}, line {line.number}"
    id_key = _choose(fields.id_key, fields.id_keys, list(first), where, "id")
    text_key = _choose(fields.text_key, fields.text_keys, list(first), where, "text")

    def read(line: Line, record: dict[str, Any]) -> TextRow:
        where = f"{name}, line {line.number}"
        text = checked_text(_value(record, text_key, where), f"{where}, {text_key!r}")
        identifier = checked_id(_value(record, id_key, where), f"{where}, {id_key!r}")
        return TextRow(line.number, identifier, joined(_title(record, fields, where), text))

    return read


def _value(record: dict[str, Any], key: str, where: str) -> Any:
    if key not in record:
        keys = ", ".join(map(repr, record))
        raise DataError(f"{where}: no {key!r} here; its keys are {keys:.300}.")
    return record[key]


def _title(record: dict[str, Any], fields: Fields, where: str) -> str | None:
    title = record.get(fields.title_key) if fields.title_key else None
    return None if title is None else checked_text(title, f"{where}, {fields.title_key!r}")


def _choose(
    named_key: str | None, tried: tuple[str, ...], keys: list[str], where: str, what: str
) -> str:
    """Select the key to read: the named one, else the only existing candidate."""
    names = f"{', '.join(repr(key) for key in keys) or 'none':.300}"
    if named_key is not None:
        if named_key in keys:
            return named_key
        raise DataError(
            f"{where}: no key {named_key!r}; its keys are {names}.",
            hint=f"Name another: `{what}_key=KEY`",
        )
    present = [key for key in tried if key in keys]
    if len(present) == 1:
        return present[0]
    expected = " or ".join(repr(key) for key in tried)
    problem = "several of" if present else "none of"
    raise DataError(
        f"{where}: its keys are {names}: {problem} {expected}; the {what} is not clear.",
        hint=f"Say which: `{what}_key=KEY`",
    )


def _tsv_rows(
    lines: Iterable[Line], name: str, fields: Fields, on_malformed: OnMalformed
) -> Iterator[TextRow]:
    """Read rows of ``id<TAB>text``, or of any columns if a header line names the keys."""
    stream = iter(lines)
    first = next(stream)
    header = first.text.split("\t")
    if not _is_header(header, fields):
        yield from _attempted(chain([first], stream), partial(_tsv_pair, name=name), on_malformed)
        return
    read_cells = _cells_reader(header, f"{name}, line {first.number}", name, fields)

    def read(line: Line) -> TextRow:
        return read_cells(line.number, _cells(line, name, len(header)))

    yield from _attempted(stream, read, on_malformed)


def _cells_reader(
    header: list[str], where: str, name: str, fields: Fields
) -> Callable[[int, list[str]], TextRow]:
    """Make a function from the place and the cells of a record to a row."""
    id_column = header.index(_choose(fields.id_key, fields.id_keys, header, where, "id"))
    text_column = header.index(_choose(fields.text_key, fields.text_keys, header, where, "text"))
    title_column = header.index(fields.title_key) if fields.title_key in header else None

    def read(number: int, cells: list[str]) -> TextRow:
        title = None if title_column is None else cells[title_column]
        identifier = checked_id(cells[id_column], f"{name}, line {number}")
        return TextRow(number, identifier, joined(title, cells[text_column]))

    return read


def _delimiter(first: str) -> str | None:
    """The delimiter of a CSV file by its first line: a comma, else a semicolon, else None."""
    if "\t" in first:
        return None
    return next((one for one in ",;" if one in first), None)


def _csv_rows(
    lines: Iterable[Line], name: str, fields: Fields, on_malformed: OnMalformed
) -> Iterator[TextRow]:
    """Read the records of a CSV file, whose first one names the columns."""
    records = _csv_records(lines, name)
    place, header = next(records)
    read_cells = _cells_reader(header, f"{name}, line {place}", name, fields)

    def read(number: int, cells: list[str]) -> TextRow:
        if len(cells) != len(header):
            raise DataError(
                f"{name}, line {number}: {len(cells)} columns, expected {len(header)}.",
                hint=_CSV_HINT,
            )
        return read_cells(number, cells)

    for number, cells in records:
        row = attempt(partial(read, number, cells), on_malformed)
        if row is not None:
            yield row


def count_csv(lines: Iterable[Line], name: str) -> int:
    """Count the records of a CSV file, without the one that names the columns.

    Raises:
        DataError: It is not valid CSV.
    """
    return sum(1 for _ in _csv_records(lines, name)) - 1


def _csv_records(lines: Iterable[Line], name: str) -> Iterator[tuple[int, list[str]]]:
    """Read the records of a CSV file, each with the number of its first line.

    Raises:
        DataError: It is not valid CSV. Nothing behind such a place can be read, since it is not
            known where the next record begins.
    """
    stream = iter(lines)
    first = next(stream)
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(
        _with_blank_lines(chain([first], stream)),
        delimiter=_delimiter(first.text) or ",",
        strict=True,
    )
    number = 1
    try:
        for cells in reader:
            if cells:
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{name}, line {number}: not valid CSV: {error}.", hint=_CSV_HINT
        ) from error


def _with_blank_lines(lines: Iterable[Line]) -> Iterator[str]:
    """Yield all lines with their ends; blank ones, which ``lines`` leaves out, may be in a cell."""
    number = 1
    for line in lines:
        yield from repeat("\n", line.number - number)
        yield line.text + "\n"
        number = line.number + 1


def _attempted(
    lines: Iterable[Line], read: Callable[[Line], TextRow], on_malformed: OnMalformed
) -> Iterator[TextRow]:
    for line in lines:
        row = attempt(partial(read, line), on_malformed)
        if row is not None:
            yield row


def _is_header(cells: list[str], fields: Fields) -> bool:
    """Return whether the first line names columns: keys are set, or it names an id and a text."""
    if fields.id_key is not None or fields.text_key is not None:
        return True
    return any(cell in fields.id_keys for cell in cells) and any(
        cell in fields.text_keys for cell in cells
    )


def _tsv_pair(line: Line, name: str) -> TextRow:
    identifier, text = _cells(line, name, 2)
    return TextRow(line.number, checked_id(identifier, f"{name}, line {line.number}"), text.strip())


def _cells(line: Line, name: str, expected: int) -> list[str]:
    cells = line.text.split("\t")
    if len(cells) != expected:
        raise DataError(
            f"{name}, line {line.number}: {len(cells)} columns, expected {expected}.",
            hint="A TSV file holds id<TAB>text, or a header line whose columns "
            "`id_key=` and `text_key=` name.",
        )
    return cells


def _plain_rows(lines: Iterable[Line], name: str) -> Iterator[TextRow]:
    for count, line in enumerate(lines, start=1):
        if "\t" in line.text:
            raise DataError(
                f"{name}, line {line.number}: a tab here, but none in the lines before; "
                "lines are either all texts or all id<TAB>text."
            )
        yield TextRow(line.number, str(count), line.text.strip())
