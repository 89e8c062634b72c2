"""Read text files by line: plain or gzip, strict UTF-8; errors name file and line."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from hypencli.data.reading.skipped_lines import OnMalformed, stop
from hypencli.errors import DataError
from hypencli.escaping import escape_shell

MAX_LINE_BYTES = 256 * 2**20
"""Maximum length of a line; the longest real documents are far shorter."""

MAX_WHOLE_BYTES = 2**30
"""Maximum size, after decompression, of a file that is read as a whole, such as JSON."""

_CHUNK_BYTES = 2**20
_GZIP_MAGIC = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line that is not blank: its number in the file, from 1, and its text without the end."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class FileSummary:
    """The result of one pass over a file.

    Attributes:
        sha256: SHA-256 of the decompressed content, so a file and its ``.gz`` agree.
        rows: Number of lines that are not blank.
    """

    sha256: str
    rows: int


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; gzip is recognised by the first bytes.

    Raises:
        DataError: The file cannot be opened or read, or its gzip data is damaged or cut short.
    """
    try:
        refuse_named_pipe(path)
        with path.open("rb") as raw:
            if raw.peek(2)[:2] == _GZIP_MAGIC:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast("BinaryIO", unpacked)
            else:
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: damaged or incomplete gzip data ({error}).",
            hint=f"Check it with: gzip -t {escape_shell(path)}",
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def refuse_named_pipe(path: Path) -> None:
    """Refuse a pipe with a name in a file system, which would be waited for without end.

    A pipe that the shell opens, such as that of ``<(zcat FILE)``, is below ``/dev`` and is read.

    Raises:
        DataError: The path is that of a named pipe.
    """
    if path.is_fifo() and path.absolute().parts[1:2] not in (("dev",), ("proc",)):
        raise DataError(
            f"{path} is a pipe, not a file.", hint="Write its content to a file, and name that."
        )


class HashedStream:
    """A stream of bytes that is hashed as it is read.

    Args:
        stream: The stream, at its start.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def readline(self, size: int = -1, /) -> bytes:
        """Read a line of at most ``size`` bytes."""
        line = self._stream.readline(size)
        self._digest.update(line)
        return line

    def sha256_of_all(self) -> str:
        """Read the rest, and return the SHA-256 of the whole stream."""
        while chunk := self._stream.read(_CHUNK_BYTES):
            self._digest.update(chunk)
        return self._digest.hexdigest()


class LineStream(Protocol):
    """A stream of bytes that is read line by line."""

    def readline(self, size: int = -1, /) -> bytes:
        """Read a line of at most ``size`` bytes."""
        ...


def read_whole(path: Path) -> bytes:
    """Read the decompressed content of a file.

    Raises:
        DataError: The file cannot be read, or holds more than ``MAX_WHOLE_BYTES``.
    """
    with open_bytes(path) as stream:
        content = stream.read(MAX_WHOLE_BYTES + 1)
    if len(content) > MAX_WHOLE_BYTES:
        raise DataError(f"{path}: more than {MAX_WHOLE_BYTES:,} bytes, the most that are read.")
    return content


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes on disk, without decompression.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        refuse_named_pipe(path)
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def read_lines(path: Path, on_malformed: OnMalformed = stop) -> Iterator[Line]:
    """Read the lines that are not blank; a byte order mark and CRLF line ends are accepted.

    Args:
        path: The file.
        on_malformed: Called with a line that is not UTF-8.

    Raises:
        DataError: The file cannot be read, is not UTF-8, or has a line beyond ``MAX_LINE_BYTES``.
    """
    with open_bytes(path) as stream:
        yield from decode_lines(stream, str(path), on_malformed)


def decode_lines(
    stream: LineStream, name: str, on_malformed: OnMalformed = stop, *, after: int = 0
) -> Iterator[Line]:
    """Read the lines of a stream that are not blank; ``name`` is its name in messages.

    Only a line feed ends a line. Documents may hold other characters that Unicode treats as line
    ends. ``after`` lines came before the stream.
    """
    number = after
    while raw := stream.readline(MAX_LINE_BYTES):
        number += 1
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raise DataError(f"{name}, line {number}: longer than {MAX_LINE_BYTES:,} bytes.")
        if number == 1:
            raw = raw.removeprefix(BOM)
        if not raw.strip():
            continue
        try:
            yield Line(number, raw.rstrip(b"\r\n").decode("utf-8"))
        except UnicodeDecodeError as error:
            on_malformed(_not_utf8(error, f"{name}, line {number}"))


def _not_utf8(error: UnicodeDecodeError, where: str) -> DataError:
    return DataError(
        f"{where}: not valid UTF-8 (byte {error.start + 1} of the line).",
        hint="Convert it first: iconv -f LATIN1 -t UTF-8 FILE",
    )


def first_line(path: Path) -> str | None:
    """Return the first line that is not blank, or None in an empty file."""
    for line in read_lines(path):
        return line.text
    return None


def parse_json_object(line: Line, name: str) -> dict[str, Any]:
    """Parse a line of a JSONL file to a dictionary.

    Raises:
        DataError: The line is not JSON, or not an object.
    """
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name}, line {line.number}: not valid JSON: {_json_problem(error)}.",
            hint="Every line of a JSONL file is one JSON object.",
        ) from error
    if not isinstance(value, dict):
        raise DataError(
            f"{name}, line {line.number}: a JSON object was expected, not {type(value).__name__}."
        )
    return value


def _json_problem(error: Exception) -> str:
    """Describe the JSON error of one line.

    The message of the parser is not used, because it would count lines from 1 again.
    """
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return str(error)


def summarise_file(path: Path) -> FileSummary:
    """Hash and count a file in one pass of bounded memory.

    Raises:
        DataError: The file cannot be read.
    """
    digest = hashlib.sha256()
    rows = 0
    rest = b""
    with open_bytes(path) as stream:
        chunk = stream.read(_CHUNK_BYTES)
        digest.update(chunk)
        chunk = chunk.removeprefix(BOM)
        while chunk:
            first, *others = chunk.split(b"\n")
            if not others:
                # Only whether a line is blank counts, so long lines need not be kept.
                rest = rest or first.strip()
            else:
                rows += bool(rest or first.strip()) + sum(map(bool, map(bytes.strip, others[:-1])))
                rest = others[-1].strip()
            chunk = stream.read(_CHUNK_BYTES)
            digest.update(chunk)
    return FileSummary(digest.hexdigest(), rows + bool(rest))
