"""The hash of what a reader has read, computed beside the reading."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeAlias

OnBytes: TypeAlias = Callable[[bytes | memoryview], None]
"""Takes all bytes of a file in order, as far as they are read."""


class ContentHash:
    """SHA-256 of bytes, in a thread of its own; :func:`content_hash` makes one."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._digest = hashlib.sha256()
        self._last: Future[None] | None = None

    def update(self, content: bytes | memoryview) -> None:
        """Add bytes, which must not change afterwards; wait until the bytes before are hashed."""
        if self._last is not None:
            self._last.result()
        self._last = self._threads.submit(self._digest.update, content)

    def hexdigest(self) -> str:
        """Return the hash of all bytes so far."""
        if self._last is not None:
            self._last.result()
        return self._digest.hexdigest()


@contextmanager
def content_hash() -> Iterator[ContentHash]:
    """Hash bytes in a thread, which ends with the context."""
    with ThreadPoolExecutor(1) as threads:
        yield ContentHash(threads)
