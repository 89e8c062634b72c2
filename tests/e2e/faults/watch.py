"""What a command does to its store is written down, and goes wrong where it is asked to."""

from __future__ import annotations

import errno
import os
import re
import signal
from pathlib import Path
from typing import Any

OPERATIONS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}


class Watch:
    """Writes down each operation on a store, and kills the process before the one asked for.

    Args:
        job: The ``store``; the ``pattern`` of an operation, ``NAME PATH``, that is let pass
            ``passing`` times and then ends the process, None never does, by a ``signal``, SIGKILL
            where none is named; how many ``writes`` there is space for, None for no end of space.
        log: Where operations are written down.
        begun: A pipe that gets a byte with the first operation.
    """

    def __init__(self, job: dict[str, Any], *, log: int, begun: int) -> None:
        self._store, self._log, self._begun = f"{job['store']}/", log, begun
        self._pattern = None if job.get("pattern") is None else re.compile(job["pattern"])
        self._passing, self._writes = job.get("passing", 0), job.get("writes")
        self._signal = job.get("signal", signal.SIGKILL)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in OPERATIONS or not isinstance(arguments[0], str | Path):
            return
        path = str(arguments[0])
        if not path.startswith(self._store):
            return
        if self._begun >= 0:
            os.write(self._begun, b".")
            self._begun = -1
        operation = f"{event} {path.removeprefix(self._store)}"
        os.write(self._log, f"{operation}\n".encode())
        if self._pattern is not None and self._pattern.search(operation):
            if self._passing == 0:
                os.kill(os.getpid(), self._signal)
            self._passing -= 1
        if self._writes is not None and _takes_space(event, arguments):
            if self._writes == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            self._writes -= 1


def _takes_space(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a full disk refuses it: new content, a new folder."""
    if event == "open":  # of a path, with a mode, or with flags alone, as locks are
        return arguments[1] is not None and any(letter in arguments[1] for letter in "wax")
    return event == "os.mkdir"
