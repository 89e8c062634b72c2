"""Threads that each do one item: results in order, a bounded look-ahead, an early end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import torch

from hypencli.workers import ALONE, Workers, workers

CPU = torch.device("cpu")


@contextmanager
def crew_of(count: int) -> Iterator[Workers]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with workers(CPU) as crew:
            yield crew
        assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    with crew_of(count) as crew:
        assert list(crew.stream(lambda x: x * x, range(50))) == [x * x for x in range(50)]
        assert list(crew.stream(lambda x: x, [])) == []


def test_few_items_are_ahead_of_the_one_that_is_taken() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    with crew_of(2) as crew, closing(crew.stream(lambda x: x, items())) as results:
        assert next(results) == 0
        assert len(taken) <= 5


def test_items_that_no_thread_has_begun_are_dropped() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item:
            go_on.wait(10)
        return item

    with crew_of(2) as crew:
        results = crew.stream(work, range(100))
        assert next(results) == 0
        results.close()
        go_on.set()
    assert set(begun) <= {0, 1, 2}


@pytest.mark.parametrize("count", [1, 2])
def test_the_error_of_an_item_is_raised(count: int) -> None:
    def work(item: int) -> int:
        return 1 // item

    with crew_of(count) as crew, pytest.raises(ZeroDivisionError):
        list(crew.stream(work, [1, 1, 0, 1]))


def test_a_device_other_than_the_cpu_has_the_calling_thread_alone() -> None:
    with workers(torch.device("meta")) as crew:
        assert crew is ALONE
