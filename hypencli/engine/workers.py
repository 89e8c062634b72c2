"""Threads that each score a block or a query of their own, instead of sharing matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Workers:
    """A pool of threads; without a pool, the calling thread does the work.

    Attributes:
        threads: The number of calls that run at a time.
    """

    threads: int = 1
    pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return the results of the function for all items, in their order."""
        if self.pool is None:
            return [function(item) for item in items]
        return list(self.pool.map(function, items))

    def start(self, function: Callable[[], Result]) -> Callable[[], Result]:
        """Start a function in a thread; return a function that waits for its result.

        The function must not use these threads: it holds one, and would wait for the others.
        """
        return function if self.pool is None else self.pool.submit(function).result


ALONE = Workers()
"""The calling thread alone, without a pool."""


@contextmanager
def workers(device: torch.device) -> Iterator[Workers]:
    """Provide as many threads as torch has on a CPU; elsewhere, only the calling thread.

    One thread a block is faster than all threads in every matrix product, since no thread waits for
    another. ``torch.get_num_threads()`` sets the number of threads; inside the context it is 1.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield ALONE
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield Workers(threads, pool)
    finally:
        torch.set_num_threads(threads)


@contextmanager
def faiss_threads(faiss: Any, count: int) -> Iterator[None]:
    """Set the number of threads of faiss, a setting of the whole process, and restore it."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
