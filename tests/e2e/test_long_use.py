"""A few cycles of ``benchmarks/soak.py``: nothing is left open, left over or kept for good."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

OPTIONS = ("--cycles", "10", "--every", "1", "--kept", "3", "--cli-every", "9")


@pytest.fixture(scope="module")
def samples(repository: Path) -> list[dict[str, float]]:
    command = [sys.executable, str(repository / "benchmarks" / "soak.py"), *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    *actual, _ = map(json.loads, done.stdout.splitlines())
    return actual


def test_what_was_removed_is_gone(samples: list[dict[str, float]]) -> None:
    assert [one["cycle"] for one in samples] == list(range(1, 11))
    # The model, and of each cycle that is kept an embedding set, a run and its evaluation.
    assert [one["artifacts"] for one in samples] == [4, 7, *[10] * 8]
    assert len({one["files"] for one in samples[2:]}) == 1


def test_nothing_is_left_open_or_left_over(samples: list[dict[str, float]]) -> None:
    assert all(one["temporary_files"] == 0 for one in samples)
    for key in ("open_files", "threads"):
        assert max(one[key] for one in samples[6:]) <= max(one[key] for one in samples[2:6]), key
    # Libraries start threads of their own when they please; a leak would start one in each cycle.
    started = samples[-1]["system_threads"] - samples[2]["system_threads"]
    assert started < (len(samples) - 3) / 2


def test_the_catalog_and_the_locks_grow_no_further(samples: list[dict[str, float]]) -> None:
    assert samples[-1]["catalog_mb"] <= 2 * samples[2]["catalog_mb"]
    # One empty file for each artifact that was ever made, and one for its finish; a few besides.
    assert samples[-1]["lock_files"] <= 4 * 10 + 5
