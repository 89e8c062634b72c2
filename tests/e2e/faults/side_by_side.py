"""Commands that run beside each other on one store, each a process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AT_ONCE = Path(__file__).with_name("at_once.py")
PATIENCE_SECONDS = 240


class Commands:
    """Commands that run, and what becomes of them.

    Args:
        folder: Where it is written down.
        count: How many there are.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count

    def said(self, number: int) -> str:
        """On stderr, so far."""
        path = self._folder / f"{number}.err"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def out(self, number: int) -> Any:
        """What it gave as JSON."""
        return json.loads((self._folder / f"{number}.out").read_text(encoding="utf-8"))

    def code(self, number: int) -> int | None:
        """How it ended, if it did."""
        path = self._folder / f"{number}.code"
        return int(path.read_text()) if path.exists() else None

    def wait(self, until: Callable[[int], object]) -> None:
        """Until this is so for each of them."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(until(number) for number in range(self._count)):
            assert time.monotonic() < deadline, [self.said(i) for i in range(self._count)]
            time.sleep(0.02)

    def codes(self) -> list[int | None]:
        """How all of them ended."""
        self.wait(lambda number: self.code(number) is not None)
        assert not any("Traceback" in self.said(number) for number in range(self._count))
        return [self.code(number) for number in range(self._count)]


@contextmanager
def forked(folder: Path, commands: list[list[str]]) -> Iterator[Commands]:
    """All at the same moment."""
    folder.mkdir()
    with forks(folder) as start:
        for command in commands:
            start(command)
        yield Commands(folder, len(commands))


@contextmanager
def forks(folder: Path) -> Iterator[Callable[..., None]]:
    """Starts commands, numbered from 0, each in a fork; as a ``program``, from its beginning."""
    with subprocess.Popen(
        [sys.executable, str(AT_ONCE), str(folder)], stdin=subprocess.PIPE, text=True
    ) as process:

        def start(command: list[str], *, program: bool = False) -> None:
            assert process.stdin is not None
            process.stdin.write(json.dumps({"command": command, "program": program}) + "\n")
            process.stdin.flush()

        yield start
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0
