"""Files written as a whole or not at all: aside, flushed, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypencli.errors import DataError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to; on leaving it is flushed and renamed to ``path``.

    Leaving by an exception deletes it and leaves ``path`` as it was.

    Raises:
        DataError: The folder is not there or not writable, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="Name a file in a folder that is there and can be written to.",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
