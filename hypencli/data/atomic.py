"""Atomic writing of files outside a store.

A file is written under another name, flushed, and then renamed. Files of a store are written with
:func:`hypestore.atomic_path`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypencli.errors import DataError, UsageError
from hypencli.paths import exists


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, then flush the file and rename it to ``path``.

    After an exception the temporary file is deleted and ``path`` is unchanged.

    Raises:
        DataError: The folder does not exist or is not writable, or the disk is full.
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
            hint="Name a file in an existing folder that is writable.",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def refuse_overwrite(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace an existing file, before any work.

    Raises:
        UsageError: The file exists, and ``overwrite`` is not set.
    """
    if exists(path) and not overwrite:
        raise UsageError(f"{path} exists.", hint="Choose another file, or add `overwrite=True`")
