"""Progress bars on stderr, with rate and remaining time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from hypencli.cli.output.render import escape


class RateColumn(ProgressColumn):
    """A column with the rate in units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """The rate; empty until it is known."""
        return Text("" if task.speed is None else f"{task.speed:,.0f} {self._unit}/s")


class Bar:
    """The progress bar of one task; see :class:`hypencli.progress.Task`."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, count: int = 1) -> None:
        """Add ``count`` finished units."""
        self._bars.advance(self._task, count)

    def set_total(self, total: int) -> None:
        """Set the number of units of the whole task."""
        self._bars.update(self._task, total=total)

    def note(self, text: str) -> None:
        """Show a text to the right of the bar."""
        self._bars.update(self._task, note=escape(text))


@contextmanager
def bar(description: str, *, total: int | None, unit: str) -> Iterator[Bar]:
    """Show a bar until the block ends.

    Args:
        description: Text on the left of the bar.
        total: Units of the whole task; None if unknown.
        unit: What is counted, in the plural.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield Bar(bars, bars.add_task(escape(description), total=total, note=""))
