"""Caches: folders of derived data, made once, used by many, needed by nobody."""

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

from hypestore.caches.record import (
    RECORD_NAME,
    cache_problems,
    write_record,
)
from hypestore.errors import (
    ArtifactBusy,
    ArtifactNotFound,
    InvalidContent,
    StoreNotWritable,
)
from hypestore.files import (
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
from hypestore.work.locks import (
    hold,
    is_held,
    read_holder,
    remove_lock,
)

MAKING_SECONDS = 24 * 3600.0
"""How long to wait for another maker: a killed one lets go at once, and a live one is at work."""

_LOG = logging.getLogger("hypestore")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_TEMPORARY = re.compile(r"\.(.+)\.\d+-[0-9a-f]{8}\.tmp")


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache.

    Attributes:
        name: What it is called, and was derived from.
        path: Its folder.
        size_bytes: Size of its files.
        used: When it was last used, or made.
    """

    name: str
    path: Path
    size_bytes: int
    used: datetime


class Caches:
    """The caches of a store, and which of them this object uses."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._uses: dict[str, contextlib.ExitStack] = {}

    def cached(self, name: str, make: Callable[[Path], None], *, wait_seconds: float) -> Path:
        """The folder of a cache, made where it is not there; see ``Store.cached``."""
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
        """This object uses the cache no more."""
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
        """Remove a cache that nobody makes or uses; see ``Store.remove_cache``."""
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
        """Remove every cache that nobody makes or uses."""
        for cache in self.listed():
            with contextlib.suppress(ArtifactBusy, ArtifactNotFound):
                self.remove(cache.name)

    def leftovers(self) -> Iterator[Path]:
        """Temporary folders of makers that were killed, and of removals."""
        for path in sorted(self._layout.caches.glob(".*.tmp")):
            match = _TEMPORARY.fullmatch(path.name)
            if match is None or not is_held(self._layout.cache_lock(match[1])):
                yield path

    def _remove_damaged(self, name: str, path: Path) -> None:
        """Remove a cache that is not as it was made; who has its files open keeps them."""
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
        """Say that the cache is used; under the maker's lock, so that nobody removes it now."""
        with writing_in(path):
            os.utime(path)
        if name in self._uses:
            return
        for lock in self._use_locks(name):
            if not is_held(lock):  # its process has ended
                remove_lock(lock)
        own = self._layout.cache_lock(name, f"{os.getpid()}-{secrets.token_hex(4)}")
        # The lock goes with this object, or with the process.
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
    """Make a cache aside, flush it, and rename it; under the maker's lock."""
    temporary = temporary_sibling(path)
    with writing_in(path.parent):
        path.parent.mkdir(exist_ok=True)
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
        # Where locks do not work, another maker may have been first.
        if not path.is_dir():
            raise


def _clear_leftovers(path: Path) -> None:
    """Delete what killed makers of the same cache left."""
    for left in path.parent.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(left.name)
        if match is not None and match[1] == path.name:
            shutil.rmtree(left, ignore_errors=True)


def _cache(path: Path) -> Cache | None:
    """What is in a folder; None when it is being removed."""
    try:
        sizes = [present_size(file) for file in present_files(path) if file.name != RECORD_NAME]
        used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    return Cache(path.name, path, sum(sizes), used)
