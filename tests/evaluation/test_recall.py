"""The share of an exact ranking that another one has."""

from __future__ import annotations

import pytest

from hypencli.evaluation.recall import recall_at

RANKING = [("a", 3.0), ("x", 2.0), ("b", 1.0), ("c", 0.5)]


@pytest.mark.parametrize(
    ("exact", "depth", "expected"),
    [
        (["a", "b", "c"], 1, 1.0),
        (["a", "b", "c"], 2, 0.5),
        (["a", "b", "c"], 4, 1.0),
        (["y", "z"], 2, 0.0),
        (["x"], 1, 0.0),
        ([], 5, None),
    ],
)
def test_both_sides_count_as_deep_as_the_other(
    exact: list[str], depth: int, expected: float | None
) -> None:
    assert recall_at(RANKING, exact, depth) == expected
