"""One thread computes for all requests. Questions that can share a pass over the corpus do."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from hypencli.errors import HypeError
from hypencli.serve.settings import RequestLimits
from hypestore import StoreError

Result = TypeVar("Result")

StillWanted: TypeAlias = Callable[[], None]
"""Called between steps of the work; it raises :class:`Abandoned` if nobody waits any more."""

Work: TypeAlias = Callable[[Sequence[Any], StillWanted], Sequence[Any]]
"""Computes the results of items together, one for each."""


class Overloaded(HypeError):
    """More questions wait than the server accepts."""


class Closing(HypeError):
    """The server is ending, and takes no more work."""


class Abandoned(Exception):
    """Nobody waits for the result of the work."""


@dataclass(frozen=True, slots=True)
class Computed(Generic[Result]):
    """A result, and how it was computed.

    Attributes:
        value: The result.
        waited: Seconds from the request to the start of its batch.
        batch: Items that were computed together.
    """

    value: Result
    waited: float
    batch: int


@dataclass(eq=False, slots=True)
class _Job:
    key: Hashable
    item: Any
    work: Work
    future: asyncio.Future[Computed[Any]]
    arrived: float = field(default_factory=time.perf_counter)


class Lane:
    """A queue with one thread behind it.

    Torch shares its threads and their number within a process, so one computation at a time uses
    the processor best, and questions that arrive during one form the next batch.

    Args:
        limits: Most waiting items, most items of a batch, and how long an idle lane waits for more.
    """

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._jobs: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hype-serve")
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.batches = 0

    @property
    def waiting(self) -> int:
        """Items that wait."""
        return len(self._jobs)

    @property
    def open(self) -> bool:
        """Whether the lane takes work."""
        return self._task is not None and not self._closing

    def start(self) -> None:
        """Begin to work; the event loop must run."""
        self._task = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Finish what waits, then end."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        self._pool.shutdown(wait=True)

    async def compute(self, key: Hashable, items: Sequence[Any], work: Work) -> list[Computed[Any]]:
        """Compute the results of items; those with equal keys may be computed together.

        If the caller is cancelled, items that wait are dropped, and work that nobody else waits for
        ends at its next step.

        Args:
            key: Items with equal keys, of any request, may share a call of ``work``.
            items: The items.
            work: Computes items together.

        Raises:
            Overloaded: Too many items wait.
            Closing: The server is ending.
        """
        if self._closing:
            raise Closing("The server is ending.", hint="Ask again when it has started.")
        if len(self._jobs) + len(items) > self._limits.waiting:
            raise Overloaded(
                f"{len(self._jobs)} questions wait; {self._limits.waiting} is the limit.",
                hint="Ask again in a second.",
            )
        loop = asyncio.get_running_loop()
        jobs = [_Job(key, item, work, loop.create_future()) for item in items]
        self._jobs.extend(jobs)
        self._arrived.set()
        try:
            return list(await asyncio.gather(*(job.future for job in jobs)))
        finally:
            for job in jobs:
                job.future.cancel()

    async def _serve(self) -> None:
        while True:
            if not self._jobs:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                if not self._closing:
                    await asyncio.sleep(self._limits.window_seconds)
            if batch := self._next_batch():
                await self._run(batch)

    def _next_batch(self) -> list[_Job]:
        """Take the oldest job, and the oldest ones with the same key."""
        batch: list[_Job] = []
        others: list[_Job] = []
        while self._jobs and len(batch) < self._limits.batch:
            job = self._jobs.popleft()
            if job.future.done():
                continue
            if not batch or job.key == batch[0].key:
                batch.append(job)
            else:
                others.append(job)
        self._jobs.extendleft(reversed(others))
        return batch

    async def _run(self, batch: list[_Job]) -> None:
        started = time.perf_counter()
        self.batches += 1

        def still_wanted() -> None:
            if all(job.future.done() for job in batch):
                raise Abandoned

        loop = asyncio.get_running_loop()
        try:
            values = await loop.run_in_executor(
                self._pool, batch[0].work, [job.item for job in batch], still_wanted
            )
        except Abandoned:
            return
        except Exception as error:  # noqa: BLE001 - it belongs to the requests that wait
            if len(batch) > 1 and isinstance(error, HypeError | StoreError):
                for job in batch:  # so that the error meets the item that has it
                    await self._run([job])
            else:
                _fail(batch, error)
            return
        for job, value in zip(batch, values, strict=True):
            if not job.future.done():
                waited = started - job.arrived
                job.future.set_result(Computed(value, waited, len(batch)))


def _fail(batch: list[_Job], error: Exception) -> None:
    for job in batch:
        if not job.future.done():
            job.future.set_exception(error)
