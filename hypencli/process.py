"""Start and end of the ``hype`` process: threads, streams, rare garbage collection, fast exit."""

from __future__ import annotations

import atexit
import codecs
import gc
import io
import math
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from hypencli.escaping import escape_unencodable

_ESCAPES = "hype-escapes"
"""Name of the error handler of stdout, for :func:`codecs.register_error`."""

_COLLECTED = (700, 10, 100)
"""Thresholds of the garbage collector; the oldest objects are checked ten times less often."""


_CGROUPS = Path("/sys/fs/cgroup")


def set_threading(
    environment: MutableMapping[str, str], *, cores: int, cgroups: Path = _CGROUPS
) -> None:
    """Set how OpenMP waits and how many threads it takes; OpenMP reads this once, at its import.

    Threads that wait for others sleep. By default they would spin, and keep busy a core that a
    thread of the same product, or another program, needs. In a container that may use fewer cores
    than the machine has, there are as many threads as it may use. Values that the user set stay.

    Args:
        environment: The environment of the process.
        cores: The number of cores that the process may run on.
        cgroups: Folder of the system's limits of a container.
    """
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    allowed = allowed_cores(cgroups)
    if allowed is not None and allowed < cores:
        environment.setdefault("OMP_NUM_THREADS", str(allowed))


def allowed_cores(cgroups: Path = _CGROUPS) -> int | None:
    """Return how many cores' time a container may use, rounded up; None without a limit."""
    try:
        if (cgroups / "cpu.max").is_file():
            quota, period = (cgroups / "cpu.max").read_text(encoding="ascii").split()
        else:  # the first version of control groups
            quota, period = (
                (cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip()
                for name in ("quota", "period")
            )
        return max(1, math.ceil(int(quota) / int(period))) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no control groups, or no limit ("max")
        return None


class OwnProcess:
    """Settings for a process that runs only ``hype``; create it before heavy imports.

    Importing torch and transformers creates 370,000 permanent objects. Python would scan them six
    times, and free them one by one at exit, which takes most of a second. The operating system
    frees the memory anyway. So the process ends with ``os._exit`` as soon as all functions
    registered with ``atexit`` have run.

    Attributes:
        code: The exit code. While it is None, such as after an error, Python ends as usual.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        set_threading(os.environ, cores=_cores())
        gc.set_threshold(*_COLLECTED)
        atexit.register(self._leave)  # functions run in reverse order, so this one runs last

    def _leave(self) -> None:
        """Flush the output and end the process; Python reports an output that cannot be flushed."""
        if self.code is None:
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):
            return
        os._exit(self.code)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_standard_streams() -> None:
    r"""Make the three standard streams usable, whatever started the process.

    A closed stream (``>&-``) becomes the null device. Otherwise the next file that is opened would
    get its number, and would be read or overwritten in its place. What the encoding of stdout does
    not have is written as ``\uXXXX``, which is the same text in JSON.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            opened = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, opened)
    codecs.register_error(_ESCAPES, escape_unencodable)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ESCAPES)


def _open_null(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
