"""Threads that each do one item of the work, instead of sharing every matrix product.

The threads of one matrix product wait for one another at its end. If another program takes one of
their cores, all of them wait for it. A thread that does a whole item alone waits for nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

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

    def stream(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the results of the function in the order of the items.

        At most two items a thread are ahead of the one that is yielded, so results do not pile up.
        Items that no thread has begun are dropped when the iterator is closed.
        """
        if self.pool is None:
            yield from map(function, items)
            return
        ahead: deque[Future[Result]] = deque()
        try:
            for item in items:
                ahead.append(self.pool.submit(function, item))
                if len(ahead) > 2 * self.threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for waiting in ahead:
                waiting.cancel()

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
