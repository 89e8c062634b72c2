"""Commands that are killed at one of their file operations, each in a child of this process.

    python killed.py FOLDER < jobs

A line in is a job: a command, its store, and a pattern of the operation that it is killed at, with
how many of those are let pass; ``"pattern": null`` runs to the end. A line out is the exit code and
every operation on the store until then. The libraries are imported once, for all the children.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from hypencli.__main__ import main

OPERATIONS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}


class Watch:
    """Writes down each operation on a store, and ends the process before the one asked for.

    Args:
        store: The store.
        log: Where operations are written down.
        pattern: Of the operation, ``NAME PATH``; None never ends the process.
        passing: How many of those come before it.
    """

    def __init__(self, store: str, log: int, pattern: str | None, passing: int) -> None:
        self._store, self._log, self._left = f"{store}/", log, passing
        self._pattern = None if pattern is None else re.compile(pattern)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in OPERATIONS or not isinstance(arguments[0], str | Path):
            return
        path = str(arguments[0])
        if not path.startswith(self._store):
            return
        operation = f"{event} {path.removeprefix(self._store)}"
        os.write(self._log, f"{operation}\n".encode())
        if self._pattern is not None and self._pattern.search(operation):
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1


def run(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What became of one job."""
    log, said = folder / "operations", folder / "stderr"
    stream = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
        sys.addaudithook(Watch(job["store"], stream, job["pattern"], job["passing"]))
        os._exit(main([*job["command"], "--store", job["store"]]))
    _, status = os.waitpid(child, 0)
    os.close(stream)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "operations": log.read_text(encoding="utf-8").splitlines(),
        "stderr": said.read_text(encoding="utf-8"),
    }


if __name__ == "__main__":
    import hypencli.training  # noqa: F401
    import hypestore  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(run(json.loads(line), Path(sys.argv[1]))), flush=True)  # noqa: T201
