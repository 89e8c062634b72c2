from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from hypencli.errors import DataError
from hypencli.serve.lane import Closing, Lane, Overloaded, StillWanted
from hypencli.serve.settings import RequestLimits


def run(test: Callable[[Lane], Awaitable[None]], limits: RequestLimits | None = None) -> None:
    """Run a test in an event loop, with a lane that works."""

    async def go() -> None:
        lane = Lane(limits or RequestLimits())
        lane.start()
        await test(lane)
        await lane.close()

    asyncio.run(go())


class Recorder:
    """Work that doubles numbers and records its batches."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()
        self.abandoned = False

    def __call__(self, items: Sequence[Any], still_wanted: StillWanted) -> list[Any]:
        self.batches.append(list(items))
        self.begun.set()
        while not self.may_end.wait(0.01):
            try:
                still_wanted()
            except BaseException:
                self.abandoned = True
                raise
        if "wrong" in items:
            raise DataError("One item is wrong.")
        return [2 * item for item in items]


async def begun(work: Recorder) -> None:
    assert await asyncio.to_thread(work.begun.wait, 10)


def test_items_with_one_key_share_a_call_and_keep_their_order() -> None:
    work = Recorder()

    async def test(lane: Lane) -> None:
        asked = [lane.compute("a", [n], work) for n in range(4)] + [lane.compute("b", [9], work)]
        results = await asyncio.gather(*asked)
        assert [one.value for result in results for one in result] == [0, 2, 4, 6, 18]
        assert [one.batch for result in results for one in result] == [4, 4, 4, 4, 1]

    run(test)
    assert work.batches == [[0, 1, 2, 3], [9]]


def test_a_batch_has_at_most_as_many_items_as_allowed() -> None:
    work = Recorder()

    async def test(lane: Lane) -> None:
        await asyncio.gather(*(lane.compute("a", [n], work) for n in range(5)))

    run(test, RequestLimits(batch=2))
    assert work.batches == [[0, 1], [2, 3], [4]]


def test_too_many_items_are_refused_and_the_others_answered() -> None:
    work = Recorder()
    work.may_end.clear()

    async def test(lane: Lane) -> None:
        first = asyncio.create_task(lane.compute("a", [1], work))
        await begun(work)
        waiting = asyncio.create_task(lane.compute("a", [2, 3], work))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="2 questions wait; 3 is the limit"):
            await lane.compute("a", [4, 5], work)
        assert lane.waiting == 2
        work.may_end.set()
        assert [one.value for one in await first + await waiting] == [2, 4, 6]

    run(test, RequestLimits(waiting=3))


def test_an_item_that_nobody_waits_for_is_not_computed() -> None:
    work = Recorder()
    work.may_end.clear()

    async def test(lane: Lane) -> None:
        first = asyncio.create_task(lane.compute("a", [1], work))
        await begun(work)
        left = asyncio.create_task(lane.compute("a", [2], work))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        work.may_end.set()
        await first

    run(test)
    assert work.batches == [[1]]


def test_work_ends_when_its_last_client_has_left() -> None:
    work = Recorder()
    work.may_end.clear()

    async def test(lane: Lane) -> None:
        asked = asyncio.create_task(lane.compute("a", [1], work))
        await begun(work)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert (await lane.compute("a", [5], Recorder()))[0].value == 10

    run(test)
    assert work.abandoned


def test_an_error_meets_only_the_item_that_has_it() -> None:
    work = Recorder()

    async def test(lane: Lane) -> None:
        asked = [lane.compute("a", [item], work) for item in (1, "wrong", 3)]
        good, bad, other = await asyncio.gather(*asked, return_exceptions=True)
        assert good[0].value == 2
        assert other[0].value == 6
        assert isinstance(bad, DataError)

    run(test)


def test_an_error_of_a_program_fails_the_batch_and_the_lane_goes_on() -> None:
    def broken(items: Sequence[Any], still_wanted: StillWanted) -> list[Any]:
        raise RuntimeError("broken")

    async def test(lane: Lane) -> None:
        with pytest.raises(RuntimeError, match="broken"):
            await lane.compute("a", [1], broken)
        assert (await lane.compute("a", [1], Recorder()))[0].value == 2

    run(test)


def test_a_lane_that_closes_finishes_what_waits_and_takes_no_more() -> None:
    work = Recorder()
    work.may_end.clear()

    async def go() -> None:
        lane = Lane(RequestLimits())
        assert not lane.open
        lane.start()
        first = asyncio.create_task(lane.compute("a", [1], work))
        await begun(work)
        second = asyncio.create_task(lane.compute("b", [2], work))
        await asyncio.sleep(0)
        closing = asyncio.create_task(lane.close())
        await asyncio.sleep(0)
        assert not lane.open
        with pytest.raises(Closing):
            await lane.compute("a", [3], work)
        work.may_end.set()
        await closing
        assert [one.value for one in await first + await second] == [2, 4]

    asyncio.run(go())
