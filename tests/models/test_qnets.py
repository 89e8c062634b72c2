"""The worked example of the package's docstring gives what it says."""

from __future__ import annotations

import doctest

from hypencli.models import qnets


def test_the_example_runs() -> None:
    result = doctest.testmod(qnets)
    assert result.attempted > 5
    assert result.failed == 0
