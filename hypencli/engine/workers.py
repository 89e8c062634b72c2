"""Threads that score: one block, or one query, a thread, instead of sharing a matrix product."""

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
    """So many threads; without a pool it is the calling one.

    Attributes:
        threads: How many calls run at a time.
    """

    threads: int = 1
    pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """What the function gives for each of the items, in their order."""
        if self.pool is None:
            return [function(item) for item in items]
        return list(self.pool.map(function, items))

    def start(self, function: Callable[[], Result]) -> Callable[[], Result]:
        """Begin something beside what the caller does; what is given back waits for it.

        It must not use these threads itself: it holds one, and would wait for the others.
        """
        return function if self.pool is None else self.pool.submit(function).result


ALONE = Workers()
"""The calling thread."""


@contextmanager
def workers(device: torch.device) -> Iterator[Workers]:
    """On a CPU, as many threads as torch has; elsewhere the calling one.

    Inside a block of documents there is nothing to wait for, so a thread a block beats all threads
    in every matrix product. ``torch.get_num_threads()`` says how many threads; meanwhile it is 1.
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
    """So many threads for faiss, which has one setting for the whole process."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
