"""Progress of the verbs on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from hypencli.cli.output.render import seconds
from hypencli.escaping import escape_terminal
from hypencli.progress import Progress, Task

LINE_SECONDS = 30.0
"""Time between two lines about one task, where there is no terminal to draw a bar on."""


class LineTask:
    """The progress of one task as a line now and then; see :class:`hypencli.progress.Task`.

    Args:
        description: What is done.
        total: Units of the whole task; None if unknown.
        unit: What is counted, in the plural.
        write: Takes a line.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        description: str,
        total: int | None,
        unit: str,
        write: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._write, self._clock = write, clock
        self._done, self._note = 0, ""
        self._began = self._told = clock()

    def advance(self, count: int = 1) -> None:
        """Add ``count`` finished units, and write a line if the last one is 30 s old."""
        self._done += count
        now = self._clock()
        if now - self._told >= LINE_SECONDS:
            self._told = now
            self._write(self._line(now - self._began))

    def set_total(self, total: int) -> None:
        """Set the number of units of the whole task."""
        self._total = total

    def note(self, text: str) -> None:
        """Set a text for the end of the next lines."""
        self._note = text

    def _line(self, elapsed: float) -> str:
        rate = self._done / elapsed
        of = "" if self._total is None else f" of {self._total:,}"
        digits = 1 if rate < 10 else 0
        parts = [f"{self._done:,}{of} {self._unit}", f"{rate:,.{digits}f} {self._unit}/s"]
        if self._total is not None and rate:
            parts.append(f"{seconds(max(0, self._total - self._done) / rate)} left")
        if self._note:
            parts.append(self._note)
        return f"{self._description}: {', '.join(parts)}"


class TerminalProgress:
    """Progress on stderr: messages always; bars on a terminal, else a line every 30 seconds."""

    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> AbstractContextManager[Task]:
        """A progress bar or lines for one task; see :class:`hypencli.progress.Progress`."""
        if not sys.stderr.isatty():
            return self._lines(description, total, unit)
        from hypencli.cli.output.bars import bar

        return bar(description, total=total, unit=unit)

    def message(self, text: str) -> None:
        """Write one line to stderr, with control characters escaped."""
        sys.stderr.write(escape_terminal(text) + "\n")
        sys.stderr.flush()

    @contextmanager
    def _lines(self, description: str, total: int | None, unit: str) -> Iterator[Task]:
        yield LineTask(description, total, unit, self.message)


def progress() -> Progress:
    """The progress that verbs pass to the library."""
    return TerminalProgress()
