"""What the benchmarks share: both sides in turn, each run a process of its own, one JSON line each.

A benchmark is a script that, called with ``--side JOB-SIDE --folder FOLDER``, runs one side of one
job and ends with :func:`tell`; :func:`in_turn` calls it so.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Figures: TypeAlias = dict[str, float]


class clock:
    """Times a block and tells it as this process's one line."""

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *exc_info: object) -> None:
        tell(seconds=time.perf_counter() - self.started)


def tell(**figures: float) -> None:
    """Print what this process measured, and the most memory that it took."""
    print(json.dumps({**figures, "peak_mb": peak_memory_mb()}))


def peak_memory_mb() -> float:
    """Of this process since it was started (getrusage would count its parent's)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def check(holds: bool) -> None:
    if not holds:
        raise SystemExit("a benchmark did not do what it should")


def in_turn(script: str, job: str, folder: Path, *, repeat: int) -> dict[str, list[Figures]]:
    """Run both sides of a job so many times, one after the other; print a line for each run."""
    found: dict[str, list[Figures]] = {"hype": [], "plain": []}
    for _ in range(repeat):
        for side, runs in found.items():
            runs.append(measure(script, f"{job}-{side}", folder))
            print(json.dumps({"job": job, "side": side, **runs[-1]}), flush=True)
    return found


def measure(script: str, side: str, folder: Path) -> Figures:
    """The figures that a process of its own tells of one side."""
    command = [sys.executable, script, "--side", side, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def medians(found: Mapping[str, list[Figures]]) -> dict[str, Figures]:
    """The median of each figure, by side."""
    return {
        side: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for side, runs in found.items()
    }


def times_less(of_sides: Mapping[str, Figures], key: str) -> float:
    """How many times less of something hype takes."""
    return of_sides["plain"][key] / of_sides["hype"][key]


def spread(seconds: Sequence[float]) -> Figures:
    """Median, least and most of some times."""
    return {
        "median_seconds": statistics.median(seconds),
        "least_seconds": min(seconds),
        "most_seconds": max(seconds),
    }
