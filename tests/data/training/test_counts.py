from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.training.counts import NumberCounter, NumberSummary, OccurrenceCounter, SeenTexts


@given(st.lists(st.lists(st.integers(-50, 50)), min_size=1))
def test_whole_numbers_in_a_line(parts: list[list[int]]) -> None:
    spreads = NumberCounter()
    for part in parts:
        spreads.add(part)
    numbers = [number for part in parts for number in part]
    if not numbers:
        assert spreads.summary() is None
        return
    expected = min(numbers), statistics.median_low(numbers), max(numbers)
    assert spreads.summary() == NumberSummary(len(numbers), *expected)
    assert spreads.above(7) == sum(number > 7 for number in numbers)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_rounded_numbers_keep_their_extremes(numbers: list[float]) -> None:
    spreads = NumberCounter(digits=4)
    spreads.add(numbers)
    actual = spreads.summary()
    assert actual is not None
    assert (actual.minimum, actual.maximum) == (min(numbers), max(numbers))
    assert actual.median == pytest.approx(statistics.median_low(numbers), rel=1e-3)


def test_many_different_numbers_stay_few_counts() -> None:
    spreads = NumberCounter(digits=4)
    spreads.add(1 + i / 1_000_000 for i in range(100_000))
    assert len(spreads._counts) < 200


def test_findings_keep_the_first_place() -> None:
    findings = OccurrenceCounter()
    findings.add("twice", "row 3", 2)
    findings.add("twice", "row 9")
    assert (findings.all()["twice"].count, findings.all()["twice"].first) == (3, "row 3")


def test_texts_seen() -> None:
    seen = SeenTexts()
    first, new, other = seen.add("a", "flour")
    assert (new, other) == (True, False)
    assert seen.add("a", "flour") == (first, False, False)
    assert seen.add("b", "flour") == (first, False, False)
    assert seen.add("a", "yeast")[1:] == (True, True)
    assert len(seen) == 2
