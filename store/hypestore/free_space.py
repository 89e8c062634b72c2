"""Free space on the disk: how much there is, and the error where it does not suffice."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypestore.errors import DiskFull

_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Numbers of the errors: no space on the device, a quota reached, a file too large."""

_MARKS = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "PytorchStreamWriter failed writing",
)
"""Texts in the errors of libraries that write files themselves and raise their own errors."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one of its causes, says that a write found no space."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _ERRORS:
            return True
        if isinstance(seen, Exception) and any(mark in str(seen) for mark in _MARKS):
            return True
        if isinstance(seen, OSError) and seen.errno is None and _wrote_less(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _wrote_less(error: OSError) -> bool:
    """Whether this is NumPy's error "24 requested and 8 written", which has no error number."""
    return "requested and" in str(error) and str(error).endswith("written")


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def in_words(n_bytes: float) -> str:
    """A number of bytes as text: ``1.5 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def require_space(folder: Path, needed_bytes: int, *, what: str) -> None:
    """Refuse work that the disk has no space for, before it begins.

    Args:
        folder: Where the files are written.
        needed_bytes: The least that the work takes.
        what: What is made, for the message: "Making graph vaswani-0a1b2c3d4e".

    Raises:
        DiskFull: Less is free; the message has both numbers.
    """
    free = free_bytes(folder)
    if free < needed_bytes:
        raise DiskFull(
            f"{what} needs {in_words(needed_bytes)} in {folder}, and {in_words(free)} are free "
            "there.",
            hint=f"Free {in_words(needed_bytes - free)} and run the same command again, or use a "
            "store on another disk (--store DIR).",
        )


@contextmanager
def disk_full_in(folder: Path) -> Iterator[None]:
    """Turn "no space left" of any library into an error that names the folder.

    Raises:
        DiskFull: No space is left there.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFull) or not is_disk_full(error):
            raise
        raise disk_full(folder, error) from error


def disk_full(folder: Path, error: BaseException) -> DiskFull:
    """The error to raise when a write in a folder found no space."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EFBIG:
        why = f"{os.strerror(errno.EFBIG)}, and the system allows none of this size"
    elif number == errno.EDQUOT:
        why = os.strerror(errno.EDQUOT)
    else:
        free = in_words(free_bytes(folder))
        why = f"{os.strerror(errno.ENOSPC)}, {free} are free there and more is needed"
    return DiskFull(
        f"Cannot write in {folder}: {why}.",
        hint="Free some space and run the same command again: what was finished before is whole.",
    )
