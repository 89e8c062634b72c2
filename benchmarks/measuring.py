"""What the benchmarks share: both sides in turn, each run a process of its own, one JSON line each.

A benchmark is a script that, called with ``--side JOB-SIDE --folder FOLDER``, runs one side of one
job and ends with :func:`tell`; :func:`options_of` sees to that, and :func:`in_turn` calls it so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

Figures: TypeAlias = dict[str, float]
Sides: TypeAlias = Mapping[str, Callable[[Path], None]]

BOTH = ("hype", "plain")

FLAGS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16"),
    *("amx_int8", "asimd", "bf16", "i8mm", "sve"),
)
"""Flags of a CPU that decide which products it has, by their names in /proc/cpuinfo."""

EMULATING = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Variables that let the libraries use fewer of them, as if the CPU had no more."""

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Processes that are started find bytecode, as a user's do from the second one on."""


def options_of(
    parser: argparse.ArgumentParser, sides: Sides, *, repeat: int, quick: Mapping[str, object]
) -> argparse.Namespace:
    """A benchmark's options, its own and those of all; with ``--side`` that is all there is to do.

    Args:
        parser: Has the options of its own.
        sides: What a process of its own runs, by name.
        repeat: How often, unless the user says it.
        quick: Options that ``--quick`` sets; each side runs once then.
    """
    parser.add_argument("--repeat", type=int, default=repeat)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--side", choices=sides)
    parser.add_argument("--folder", type=Path, help="where the data is, or is kept")
    options = parser.parse_args()
    if options.side is not None:
        sides[options.side](options.folder)
        raise SystemExit
    if options.quick:
        vars(options).update(quick, repeat=1)
    say_machine()
    return options


def machine() -> dict[str, object]:
    """What decides about a figure: the CPU, its flags, the load, threads and versions."""
    cpu = cpu_info()
    present = set(cpu.get("flags", cpu.get("Features", "")).split())
    emulated = {name: os.environ[name] for name in EMULATING if name in os.environ}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu.get("model name", platform.processor() or platform.machine()),
        "flags": [flag for flag in FLAGS if flag in present],
        "emulated": emulated or None,
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "load": [round(one, 2) for one in os.getloadavg()],
        "torch": importlib.metadata.version("torch"),
    }


def cpu_info() -> dict[str, str]:
    """What the system says of the first core; nothing if it is no Linux."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def say_machine(**more: object) -> None:
    """Print the machine as a line of its own, before the figures."""
    print(json.dumps({"machine": {**machine(), **more}}), flush=True)


@contextmanager
def folder_of(options: argparse.Namespace, prepare: Callable[[Path], None]) -> Iterator[Path]:
    """The folder with the data, made where it is not kept from before."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder.is_dir() and any(folder.iterdir())):
            folder.mkdir(parents=True, exist_ok=True)
            prepare(folder)
        yield folder


class Stopwatch:
    """The time since it was made, and the processor time of this process, of all its threads."""

    def __init__(self) -> None:
        self._started, self._used = time.perf_counter(), time.process_time()

    def figures(self) -> Figures:
        """Both, in seconds."""
        return {
            "seconds": time.perf_counter() - self._started,
            "cpu_seconds": time.process_time() - self._used,
        }


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


def in_turn(
    script: str, job: str, folder: Path, *, repeat: int, sides: Sequence[str] = BOTH
) -> dict[str, list[Figures]]:
    """Run the sides of a job so many times, one after the other; print a line for each run."""
    actual: dict[str, list[Figures]] = {side: [] for side in sides}
    for _ in range(repeat):
        for side, runs in actual.items():
            runs.append(measure(script, f"{job}-{side}", folder))
            print(json.dumps({"job": job, "side": side, **runs[-1]}), flush=True)
    return actual


def measure(script: str, side: str, folder: Path) -> Figures:
    """The figures that a process of its own tells of one side, and the load when it ended.

    The load counts processes that run or wait to run, over the last minute: this one is among them.
    """
    command = [sys.executable, script, "--side", side, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "load": os.getloadavg()[0]}


def medians(actual: Mapping[str, list[Figures]]) -> dict[str, Figures]:
    """The median of each figure, by side."""
    return {
        side: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for side, runs in actual.items()
    }


def times_less(of_sides: Mapping[str, Figures], key: str) -> float:
    """How many times less of something hype takes."""
    return of_sides["plain"][key] / of_sides["hype"][key]


def summary(job: str, actual: Mapping[str, list[Figures]]) -> dict[str, object]:
    """Medians and spreads of both sides, and how many times less time and memory hype takes."""
    of_sides = medians(actual)
    return {
        "job": job,
        "median": of_sides,
        "spread": spreads(actual),
        "times_faster": times_less(of_sides, "seconds"),
        "times_less_memory": times_less(of_sides, "peak_mb"),
    }


def spreads(actual: Mapping[str, list[Figures]]) -> dict[str, Figures]:
    """Of the seconds of each side that has some."""
    return {
        side: spread([run["seconds"] for run in runs])
        for side, runs in actual.items()
        if "seconds" in runs[0]
    }


def spread(seconds: Sequence[float]) -> Figures:
    """Median, least and most of some times."""
    return {
        "median_seconds": statistics.median(seconds),
        "least_seconds": min(seconds),
        "most_seconds": max(seconds),
    }
