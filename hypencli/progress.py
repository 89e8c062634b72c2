"""Progress events: what the layers below the command line report, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One long job under way."""

    def advance(self, count: int = 1) -> None:
        """Report ``count`` more units done."""
        ...

    def set_total(self, total: int) -> None:
        """Report the number of units, once it is known."""
        ...

    def note(self, text: str) -> None:
        """Show a short text beside the bar (a loss, a shard number)."""
        ...


class Progress(Protocol):
    """Where long jobs report to."""

    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> AbstractContextManager[Task]:
        """Open a task; use it as a context manager."""
        ...

    def message(self, text: str) -> None:
        """Tell the user one line: what was chosen, found or skipped."""
        ...


class _SilentTask:
    def advance(self, count: int = 1) -> None:
        """Say nothing."""

    def set_total(self, total: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


class SilentProgress:
    """Listens to nothing: the default of the Python library."""

    @contextmanager
    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> Iterator[Task]:
        """A task that reports nowhere."""
        yield _SilentTask()

    def message(self, text: str) -> None:
        """Say nothing."""


SILENT = SilentProgress()
