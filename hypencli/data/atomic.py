"""Atomic writing of files outside a store, by one process at a time.

A file is written under another name, flushed, and then renamed; the folder is flushed last. Files
of a store are written with :func:`hypestore.atomic_path`.
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
        flush_file(temporary)
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="Name a file in an existing folder that is writable.",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def flush_file(path: Path) -> None:
    """Flush the content of a file to the disk."""
    with path.open("rb+") as written:
        os.fsync(written.fileno())


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk; on Windows nothing is needed."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Flush every file and every name below a folder to the disk."""
    for path in folder.rglob("*"):
        flush_folder(path) if path.is_dir() else flush_file(path)
    flush_folder(folder)


@contextmanager
def only_one(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock file for the length of the block, then delete it.

    Args:
        lock: The file, beside what is written.
        busy: What to say if another process holds it.

    Raises:
        UsageError: Another process holds it.
        DataError: The folder is not writable, or its file system gives no locks.
    """
    # Never by the existence of a file: a killed process leaves it behind.
    from filelock import FileLock, Timeout

    held = FileLock(lock, timeout=0, fallback_to_soft=False)
    try:
        held.acquire()
    except Timeout as error:
        raise UsageError(busy) from error
    except OSError as error:
        raise DataError(
            f"Cannot lock {lock}: {error.strerror or error}.",
            hint="Write to a folder that is writable, on a file system that gives locks: "
            "`output=PATH`",
        ) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        held.release()


def refuse_overwrite(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace an existing file, before any work.

    Raises:
        UsageError: The file exists, and ``overwrite`` is not set.
    """
    if exists(path) and not overwrite:
        raise UsageError(f"{path} exists.", hint="Choose another file, or add `overwrite=True`")
