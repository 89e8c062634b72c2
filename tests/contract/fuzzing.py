"""Fuzzing of readers: files that are nearly right, and what must hold of every reader.

Never another exception than those of the reader, never a hang, never memory that the file does not
account for.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypencli.errors import DataError

HANG_SECONDS = 10.0

PIECES = [
    *(b" ", b"\t", b"\n", b"\r\n", b"\r", b"\x00", b"\x0b", b"\x1c", b"\x85", b"\xef\xbb\xbf"),
    *(b"\xff", b"\xed\xa0\x80", b"\xc3", b"\\ud800", b"\\u0000", b'"', b"'", b"\\", b"{", b"}"),
    *(b"[", b"]", b"(", b")", b":", b",", b"#", b"=", b".", b"-", b"null", b"true", b"NaN"),
    *(b"-Infinity", b"inf", b"1e999", b"1e300", b"-0", b"1_0", b"0x10", b"9" * 5000, b"PAR1"),
    *("１".encode(), "\u2028".encode(), "\u00a0".encode(), "🦜".encode(), "\u202e".encode()),
    *(b"[" * 20_000, b'{"a":' * 20_000, b"\x1f\x8b", gzip.compress(b"x\n"), b"\x93NUMPY"),
]
"""What breaks readers."""


@st.composite
def edited(draw: st.DrawFn, files: st.SearchStrategy[bytes]) -> bytes:
    """A file with up to four edits: bytes put in, taken away, or there twice; or packed."""
    content = bytearray(draw(files))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.integers(0, 8)))
        piece = draw(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=4))
        match draw(st.integers(0, 4)):
            case 0:
                content[start:start] = piece
            case 1:
                content[start:stop] = piece
            case 2:
                del content[start:stop]
            case 3:
                content[start:start] = content[start:stop]
            case _:
                del content[start:]
    if draw(st.integers(0, 15)) == 0:
        content = bytearray(gzip.compress(bytes(content), mtime=0))
        if draw(st.booleans()):
            del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


@dataclass(frozen=True)
class Reader:
    """A reader: what it is fed, what must hold of what it gives, and what it may raise.

    Attributes:
        file: Name of the file.
        files: The contents.
        check: Reads the file and checks what it gives.
        place: A pattern of messages: they say where the file is wrong.
        errors: Errors that it may raise.
        names_file: Whether each message has the path of the file.
    """

    file: str
    files: st.SearchStrategy[bytes]
    check: Callable[[Path], None]
    place: str = r"line \d|lines \d|item \d|the file is empty|no (documents|queries)|gzip data"
    errors: type[Exception] | tuple[type[Exception], ...] = DataError
    names_file: bool = True


def hold(reader: Reader, content: bytes, folder: Path) -> None:
    """The property of all readers."""
    path = folder / reader.file
    path.write_bytes(content)
    started = time.process_time()
    message = None
    try:
        reader.check(path)
    except reader.errors as error:
        message = str(getattr(error, "message", error))
    assert time.process_time() - started < HANG_SECONDS
    if message is not None:
        assert str(path) in message or not reader.names_file, message
        assert re.search(reader.place, message), message
        assert len(message) < 4_000, "the file is poured out over the terminal"
        json.dumps(message, ensure_ascii=False).encode("utf-8")


def fuzz(reader: Reader, folder: Path, *, examples: int, seed: int | None = None) -> int:
    """Feed a reader with so many files; a seed makes them others than those of every run."""
    fed = itertools.count()

    @settings(
        max_examples=examples,
        deadline=None,  # a busy machine is no fault of the reader
        derandomize=seed is None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.files)
    def holds(content: bytes) -> None:
        next(fed)
        hold(reader, content, folder)

    (holds if seed is None else hypothesis.seed(seed)(holds))()
    return next(fed)
