"""Files outside a store, written as a whole or not at all.

A file is written under another name, flushed, and then renamed. Files of a store are written by
:func:`hypestore.atomic_path`, whose errors speak of the store.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypencli.errors import DataError, UsageError


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


def refuse_overwrite(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace an existing file, before any work.

    Raises:
        UsageError: The file exists, and ``overwrite`` is not set.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists.", hint="Choose another file, or add `overwrite=True`")
