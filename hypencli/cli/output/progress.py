"""Where verbs report to: messages on stderr, and bars where it is a terminal."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from hypencli.escaping import escape_terminal
from hypencli.progress import SILENT, Progress, Task


class TerminalProgress:
    """Where verbs report to: messages always, bars only where stderr is a terminal."""

    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> AbstractContextManager[Task]:
        """A bar that disappears when its task is done."""
        if not sys.stderr.isatty():
            return SILENT.task(description, total=total, unit=unit)
        from hypencli.cli.output.bars import bar

        return bar(description, total=total, unit=unit)

    def message(self, text: str) -> None:
        """One line on stderr."""
        sys.stderr.write(escape_terminal(text) + "\n")


def progress() -> Progress:
    """Where verbs report to."""
    return TerminalProgress()
