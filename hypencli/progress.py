"""Progress of long jobs: the interface through which the library reports, and a silent default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One running job."""

    def advance(self, count: int = 1) -> None:
        """Report ``count`` more finished units."""
        ...

    def set_total(self, total: int) -> None:
        """Report the number of units of the whole job."""
        ...

    def note(self, text: str) -> None:
        """Report a short text, such as a loss or a shard number."""
        ...


class Progress(Protocol):
    """The receiver of progress reports."""

    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> AbstractContextManager[Task]:
        """Start a job; the context manager ends it."""
        ...

    def message(self, text: str) -> None:
        """Report one line of text to the user."""
        ...


class _SilentTask:
    def advance(self, count: int = 1) -> None:
        """Ignore the report."""

    def set_total(self, total: int) -> None:
        """Ignore the report."""

    def note(self, text: str) -> None:
        """Ignore the report."""


class SilentProgress:
    """Ignores all reports: the default of the Python library."""

    @contextmanager
    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> Iterator[Task]:
        """Yield a job that ignores its reports."""
        yield _SilentTask()

    def message(self, text: str) -> None:
        """Ignore the report."""


SILENT = SilentProgress()
