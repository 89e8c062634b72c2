"""Standard input as a data source: kept in a temporary file, since documents are read twice."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from hypencli.data.reading.base import Part
from hypencli.data.reading.file import FileSource
from hypencli.errors import DataError

STDIN = "-"
"""The argument that names standard input."""

NAME = "standard input"


@dataclass(frozen=True)
class StdinSource(FileSource):
    """The content of standard input, in a temporary file that is deleted with this object."""

    prefix: ClassVar[str] = "stdin"
    aliases: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """``stdin``."""
        return self.prefix

    @property
    def id(self) -> str:
        """``stdin``."""
        return self.prefix

    def place(self, part: Part) -> str:
        """Return ``standard input``, its name in messages."""
        return NAME


def read_stdin(stdin: BinaryIO | None = None) -> StdinSource:
    """Read standard input to its end.

    Args:
        stdin: The stream; None takes that of the process.

    Raises:
        DataError: It is closed, or the temporary file cannot be written.
    """
    if stdin is None and sys.stdin is None:
        raise DataError("Standard input is closed.", hint="Name a file instead of -.")
    descriptor, name = tempfile.mkstemp(prefix="hype-stdin-")
    source = StdinSource(Path(name))
    weakref.finalize(source, Path(name).unlink, missing_ok=True)
    try:
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(stdin or sys.stdin.buffer, file)
    except OSError as error:
        raise DataError(
            f"{name}: standard input cannot be kept there: {error.strerror or error}.",
            hint="Set TMPDIR to a folder with enough space, or name a file instead of -.",
        ) from error
    return source
