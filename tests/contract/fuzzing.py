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
from random import Random

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


def edit(content: bytes, chosen: Random) -> bytes:
    """A file with up to four edits: bytes put in, taken away, or there twice; or packed."""
    actual = bytearray(content)
    for _ in range(chosen.randint(0, 4)):
        start = chosen.randint(0, len(actual))
        stop = min(len(actual), start + chosen.randint(0, 8))
        piece = chosen.choice(PIECES)
        if chosen.randint(0, 1):
            piece = bytes(chosen.randint(0, 255) for _ in range(chosen.randint(1, 4)))
        match chosen.randint(0, 4):
            case 0:
                actual[start:start] = piece
            case 1:
                actual[start:stop] = piece
            case 2:
                del actual[start:stop]
            case 3:
                actual[start:start] = actual[start:stop]
            case _:
                del actual[start:]
    if chosen.randint(0, 15) == 0:
        actual = bytearray(gzip.compress(bytes(actual), mtime=0))
        if chosen.randint(0, 1):
            del actual[chosen.randint(0, len(actual)) :]
    return bytes(actual)


def edited(files: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Drawn files, each with drawn edits."""
    return st.builds(edit, files, st.randoms())


@dataclass(frozen=True)
class Reader:
    """A reader: what it is fed, what must hold of what it gives, and what it may raise.

    Attributes:
        file: Name of the file.
        files: What the files are made of.
        check: Reads the file and checks what it gives.
        place: A pattern of messages: they say where the file is wrong.
        errors: Errors that it may raise.
        names_file: Whether each message has the path of the file.
        vary: Makes the file that is read of one of ``files``.
    """

    file: str
    files: st.SearchStrategy[bytes]
    check: Callable[[Path], None]
    place: str = r"line \d|lines \d|item \d|the file is empty|no (documents|queries)|gzip data"
    errors: type[Exception] | tuple[type[Exception], ...] = DataError
    names_file: bool = True
    vary: Callable[[bytes, Random], bytes] = edit


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


def fuzz(
    reader: Reader, folder: Path, *, examples: int, seed: int | None = None, variants: int = 0
) -> int:
    """Feed a reader with files.

    Args:
        reader: The reader.
        folder: Where the files are written.
        examples: How many files are drawn.
        seed: Makes them others than those of every run.
        variants: How many more are made of what is drawn for one: most readers read a file in a
            quarter of the time that Hypothesis needs to draw it.

    Returns:
        How many files it was fed with.
    """
    fed = itertools.count()

    @settings(
        max_examples=examples,
        deadline=None,  # a busy machine is no fault of the reader
        derandomize=seed is None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.files, st.randoms(), st.integers(0, 2**32 - 1))
    def holds(content: bytes, drawn: Random, more: int) -> None:
        for chosen in [drawn, *[Random(more)] * variants]:
            next(fed)
            hold(reader, reader.vary(content, chosen), folder)

    (holds if seed is None else hypothesis.seed(seed)(holds))()
    return next(fed)
