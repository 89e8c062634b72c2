"""Progress of the verbs on stderr."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from hypencli.escaping import escape_terminal
from hypencli.progress import SILENT, Progress, Task


class TerminalProgress:
    """Progress on stderr: messages always, bars only on a terminal."""

    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> AbstractContextManager[Task]:
        """A progress bar for one task; see :class:`hypencli.progress.Progress`."""
        if not sys.stderr.isatty():
            return SILENT.task(description, total=total, unit=unit)
        from hypencli.cli.output.bars import bar

        return bar(description, total=total, unit=unit)

    def message(self, text: str) -> None:
        """Write one line to stderr, with control characters escaped."""
        sys.stderr.write(escape_terminal(text) + "\n")


def progress() -> Progress:
    """The progress that verbs pass to the library."""
    return TerminalProgress()
