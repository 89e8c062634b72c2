"""Caches: folders of derived data that several commands use, and that may be deleted."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hypestore.caches.record import RECORD_NAME, cache_problems, write_record
from hypestore.errors import ArtifactBusy, ArtifactNotFound, InvalidContent, StoreNotWritable
from hypestore.files import (
    make_folder,
    present_files,
    present_size,
    remove_folder,
    sync_folder,
    sync_tree,
    temporary_sibling,
    writing_in,
)
from hypestore.free_space import disk_full_in
from hypestore.layout import Layout
from hypestore.work.locks import hold, is_held, read_holder, remove_lock

MAKING_SECONDS = 24 * 3600.0
"""How long to wait for another process that makes the cache; a killed one frees the lock."""

_LOG = logging.getLogger("hypestore")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_TEMPORARY = re.compile(r"\.(.+)\.\d+-[0-9a-f]{8}\.tmp")


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache.

    Attributes:
        name: Its name, which says what it was derived from.
        path: Its folder.
        size_bytes: Size of its files.
        used: When it was made or last used.
    """

    name: str
    path: Path
    size_bytes: int
    used: datetime


class Caches:
    """The caches of a store, and the locks of those that this object uses."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._uses: dict[str, contextlib.ExitStack] = {}

    def cached(self, name: str, make: Callable[[Path], None], *, wait_seconds: float) -> Path:
        """The folder of a cache, made if it does not exist; see ``Store.cached``."""
        path = self._layout.cache(_checked(name))
        try:
            with self._holding(name, wait_seconds):
                if path.is_dir():
                    self._remove_damaged(name, path)
                if not path.is_dir():
                    _make(path, make)
                self._use(name, path)
        except StoreNotWritable:
            if not path.is_dir() or any(cache_problems(path)):
                raise
        return path

    def release(self, name: str) -> None:
        """End the use of a cache by this object."""
        use = self._uses.pop(name, None)
        if use is not None:
            use.close()

    def listed(self) -> list[Cache]:
        """All caches, least recently used first."""
        folder = self._layout.caches
        paths = folder.iterdir() if folder.is_dir() else ()
        named = [path for path in paths if path.is_dir() and not path.name.startswith(".")]
        listed_caches = [cache for cache in map(_cache, named) if cache is not None]
        return sorted(listed_caches, key=lambda cache: (cache.used, cache.name))

    def remove(self, name: str) -> None:
        """Remove a cache that no process makes or uses; see ``Store.remove_cache``."""
        path = self._layout.cache(_checked(name))
        with self._holding(name, 0.0):
            for lock in self._use_locks(name):
                if is_held(lock):
                    raise ArtifactBusy(
                        f"The cache {name} is in use by {read_holder(lock)}.",
                        hint="Wait until it is done and run the same command again.",
                    )
            if not path.is_dir():
                existing = ", ".join(cache.name for cache in self.listed()) or "nothing yet"
                raise ArtifactNotFound(
                    f"There is no cache {name!r} in {self._layout.caches}.",
                    hint=f"There is: {existing}.",
                )
            remove_folder(path)

    def clean(self) -> None:
        """Remove every cache that no process makes or uses."""
        for cache in self.listed():
            with contextlib.suppress(ArtifactBusy, ArtifactNotFound):
                self.remove(cache.name)

    def leftovers(self) -> Iterator[Path]:
        """Temporary folders of killed processes that made or removed a cache."""
        for path in sorted(self._layout.caches.glob(".*.tmp")):
            match = _TEMPORARY.fullmatch(path.name)
            if match is None or not is_held(self._layout.cache_lock(match[1])):
                yield path

    def _remove_damaged(self, name: str, path: Path) -> None:
        """Remove a cache that has changed since it was made; files that are open stay readable."""
        problem = None if name in self._uses else next(cache_problems(path), None)
        if problem is not None:
            _LOG.warning(
                "the cache %s is made again, for its file %s %s",
                name,
                problem.file,
                problem.problem,
            )
            remove_folder(path)

    def _holding(self, name: str, wait_seconds: float) -> contextlib.AbstractContextManager[None]:
        lock = self._layout.cache_lock(name)
        return hold(lock, what=f"The cache {name}", wait_seconds=wait_seconds)

    def _use(self, name: str, path: Path) -> None:
        """Take the lock of a user, while the caller holds the maker's lock."""
        with writing_in(path):
            os.utime(path)
        if name in self._uses:
            return
        for lock in self._use_locks(name):
            if not is_held(lock):  # its process has ended
                remove_lock(lock)
        own = self._layout.cache_lock(name, f"{os.getpid()}-{secrets.token_hex(4)}")
        # The lock ends with this object, or with the process.
        self._uses[name] = contextlib.ExitStack()
        self._uses[name].enter_context(hold(own, what=f"The use of {name}"))

    def _use_locks(self, name: str) -> list[Path]:
        maker = self._layout.cache_lock(name)
        return [lock for lock in sorted(maker.parent.glob("*.lock")) if lock != maker]


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise InvalidContent(
            f"{name!r} cannot be the name of a cache.",
            hint="A name has 1 to 100 characters of a-z 0-9 . _ -, the first a letter or digit.",
        )
    return name


def _make(path: Path, make: Callable[[Path], None]) -> None:
    """Make a cache in a temporary folder, flush it, and rename it. The caller holds the lock."""
    temporary = temporary_sibling(path)
    with writing_in(path.parent):
        make_folder(path.parent)
        _clear_leftovers(path)
        temporary.mkdir()
    try:
        with disk_full_in(path.parent):
            make(temporary)
            write_record(temporary)
        with writing_in(path.parent):
            sync_tree(temporary)
            _rename(temporary, path)
            sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except OSError:
        # On a file system without working locks, another process may have been first.
        if not path.is_dir():
            raise


def _clear_leftovers(path: Path) -> None:
    """Delete temporary folders that killed processes left for this cache."""
    for left in path.parent.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(left.name)
        if match is not None and match[1] == path.name:
            shutil.rmtree(left, ignore_errors=True)


def _cache(path: Path) -> Cache | None:
    """The cache in a folder; None if it is being removed."""
    try:
        sizes = [present_size(file) for file in present_files(path) if file.name != RECORD_NAME]
        used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    return Cache(path.name, path, sum(sizes), used)
