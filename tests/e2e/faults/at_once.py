"""Commands that run at once, each in a fork of this process, which has the libraries loaded.

    python at_once.py FOLDER < commands

A line in starts the next command: ``{"command": [...], "program": false}``. What number N says is
in FOLDER as ``N.out`` and ``N.err`` while it runs; ``N.code`` is there when it has ended. As a
program it is a ``python -m hypencli`` from its first instruction on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from hypencli.__main__ import main


def started(place: Path, job: dict[str, Any]) -> int:
    """The process of a command."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, kind in ((1, ".out"), (2, ".err")):
            os.dup2(os.open(place.with_suffix(kind), os.O_WRONLY | os.O_CREAT), number)
        if job["program"]:
            os.execv(sys.executable, [sys.executable, "-m", "hypencli", *job["command"]])
        code = main(job["command"])
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def write_down_who_ended(children: dict[int, Path]) -> None:
    """How each has ended."""
    while children:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        place = children.pop(child)
        aside = place.with_suffix(".tmp")
        aside.write_text(str(os.waitstatus_to_exitcode(status)))
        aside.rename(place.with_suffix(".code"))


def run(folder: Path, woken: int) -> None:
    """Start what is asked for until there is no more, and wait for all."""
    children: dict[int, Path] = {}
    count, asked, read = 0, True, b""
    while asked or children:
        ready, _, _ = select.select([woken, *([0] if asked else [])], [], [])
        if woken in ready:
            os.read(woken, 1024)
            write_down_who_ended(children)
        if 0 in ready:
            asked = (more := os.read(0, 2**16)) != b""
            *lines, read = (read + more).split(b"\n")
            for line in lines:
                place = folder / str(count)
                children[started(place, json.loads(line))] = place
                count += 1


if __name__ == "__main__":
    import hypencli.engine.exact
    import hypencli.training  # noqa: F401
    import hypestore  # noqa: F401

    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    run(Path(sys.argv[1]), woken)
