"""Locks between processes. A note beside each lock says which process holds it."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from hypestore.errors import ArtifactBusy, StoreNotWritable, refuse_open_limit
from hypestore.files import refuse_link, writing_in
from hypestore.layout import Layout

SHORT_WAIT_SECONDS = 60.0
"""How long to wait for locks that are held only briefly, such as the store lock."""

_PROBE_SECONDS = 0.2
"""Shortest wait for a lock: ``is_held`` takes locks briefly, and nobody may fail because of it."""

_NOTE_TRIES = 10

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Numbers of the errors by which a file system refuses every lock."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lock, as the note beside it says."""

    pid: int | None = None
    host: str | None = None
    since: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "another process"
        return f"process {self.pid} on {self.host} since {self.since}"


def _note(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.holder")


def read_holder(lock: Path) -> Holder:
    """The holder by the note beside a lock; an empty ``Holder`` if the note cannot be read."""
    try:
        note = json.loads(_note(lock).read_text(encoding="utf-8"))
        return Holder(pid=int(note["pid"]), host=str(note["host"]), since=str(note["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()


def _present_holder(lock: Path) -> Holder:
    """The holder of a lock that is held now; waits a moment for a note that is being written."""
    for _ in range(_NOTE_TRIES):
        holder = read_holder(lock)
        if holder.pid is not None:
            return holder
        time.sleep(_PROBE_SECONDS / _NOTE_TRIES)
    return holder


def _write_note(lock: Path) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    note = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    _note(lock).write_text(json.dumps(note), encoding="utf-8")


@contextmanager
def hold(lock: Path, *, what: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock for the length of the block.

    Args:
        lock: The lock file. It is created if needed, and stays.
        what: What is locked, for the message: "embeddings vaswani-0a1b2c3d4e".
        wait_seconds: How long to wait for another holder.

    Raises:
        ArtifactBusy: Another process, or another object of this process, holds it.
        StoreNotWritable: The store is read-only, or its file system gives no locks.
        DamagedArtifact: The lock is a link.
    """
    for file in (lock.parent, lock, _note(lock)):
        refuse_link(file)
    with writing_in(lock.parent):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file_lock = _file_lock(lock)
        try:
            file_lock.acquire(timeout=max(wait_seconds, _PROBE_SECONDS), poll_interval=0.02)
        except Timeout as error:
            raise ArtifactBusy(
                f"{what} is in use by {_present_holder(lock)} (waited {wait_seconds:g} s).",
                hint="Wait until it is done and run the same command again.",
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise StoreNotWritable(
                f"Cannot lock {lock}: its file system gives no locks ({error.strerror}).",
                hint="Reading works. To write, use a store on another file system (--store DIR), "
                "or have this one mounted with locks: NFS with its lock service or with "
                "local_lock=flock, Lustre with flock.",
            ) from error
    try:
        with writing_in(lock.parent):
            _write_note(lock)
        yield
    finally:
        _note(lock).unlink(missing_ok=True)
        file_lock.release()


def _file_lock(lock: Path) -> FileLock:
    # Never by the existence of a file: locks stay when they are free, and would count as held.
    return FileLock(lock, thread_local=False, fallback_to_soft=False)


def is_held(lock: Path) -> bool:
    """Whether a lock is held now.

    In a read-only store, and on a file system without locks, the note beside it decides: it does
    not count if its process was on this machine and has ended.
    """
    if not lock.exists():
        return False
    file_lock = _file_lock(lock)
    try:
        file_lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError as error:
        refuse_open_limit(error)
        return _note(lock).exists() and not _has_ended(read_holder(lock))
    file_lock.release()
    return False


def _has_ended(holder: Holder) -> bool:
    """Whether a process that a note names was on this machine and has ended."""
    if holder.pid is None or holder.host != socket.gethostname():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # another user's; or no number of a process
        return False
    return False


def remove_lock(lock: Path) -> None:
    """Delete a lock and its note. No process may hold the lock, or take it again."""
    lock.unlink(missing_ok=True)
    _note(lock).unlink(missing_ok=True)


def clear_staging_locks(layout: Layout) -> None:
    """Delete locks of staging folders that do not exist, left by killed processes."""
    for lock, folder in layout.staging_locks():
        if not folder.exists() and not is_held(lock):
            remove_lock(lock)
