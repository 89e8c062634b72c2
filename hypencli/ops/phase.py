"""The present job of a long work, such as "encoding passages", kept for other processes to show."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from hypencli.progress import Progress, Task
from hypestore import SCRATCH_NAME, writing_in

_FILE = "phase.json"
_MOST_BYTES = 4_096
_SECONDS_BETWEEN = 1.0
"""Least time between two records of one job."""


@dataclass(frozen=True, slots=True)
class Phase:
    """The job that a work does, or did when it stopped.

    Attributes:
        job: What is done, such as ``encoding passages``.
        done: Finished units.
        total: Units of the whole job; None if unknown.
        unit: Name of the units.
        updated: ISO time of the record.
    """

    job: str
    done: int
    total: int | None
    unit: str
    updated: str

    def __str__(self) -> str:
        """Return the job and how much of it is done."""
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.job}, {self.done:,}{of} {self.unit}"


def read_phase(folder: Path) -> Phase | None:
    """Read the phase of unfinished work in a folder; None if there is no record of one.

    A record is replaced as a whole, so that another content is no record, and links are not
    followed.
    """
    scratch = folder / SCRATCH_NAME
    path = scratch / _FILE
    if scratch.is_symlink() or path.is_symlink() or not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(_MOST_BYTES))
        phase = Phase(**content)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = (phase.job, phase.unit, phase.updated)
    numbers = (phase.done, 0 if phase.total is None else phase.total)
    right = all(isinstance(text, str) for text in texts) and all(type(n) is int for n in numbers)
    return phase if right else None


class RecordedProgress:
    """A receiver of progress that passes it on, and records the present job in a folder.

    Args:
        progress: Receives the progress.
        folder: Folder of the unfinished work.
    """

    def __init__(self, progress: Progress, folder: Path) -> None:
        self._progress = progress
        self._folder = folder / SCRATCH_NAME

    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> AbstractContextManager[Task]:
        """Start a job and record it."""
        return self._task(description, total, unit)

    @contextmanager
    def _task(self, description: str, total: int | None, unit: str) -> Iterator[Task]:
        with self._progress.task(description, total=total, unit=unit) as task:
            recorded = _RecordedTask(task, self._folder, description, total=total, unit=unit)
            yield recorded
            recorded.record()

    def message(self, text: str) -> None:
        """Pass a line of text on."""
        self._progress.message(text)


class _RecordedTask:
    def __init__(self, task: Task, folder: Path, job: str, *, total: int | None, unit: str) -> None:
        self._task, self._folder = task, folder
        self._job, self._total, self._unit = job, total, unit
        self._done = 0
        self.record()

    def advance(self, count: int = 1) -> None:
        """Report ``count`` more finished units; record them about once a second."""
        self._task.advance(count)
        self._done += count
        if time.monotonic() - self._recorded >= _SECONDS_BETWEEN:
            self.record()

    def set_total(self, total: int) -> None:
        """Report the number of units of the whole job."""
        self._task.set_total(total)
        self._total = total
        self.record()

    def note(self, text: str) -> None:
        """Pass a short text on."""
        self._task.note(text)

    def record(self) -> None:
        """Replace the record by the present state."""
        self._recorded = time.monotonic()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        phase = Phase(self._job, self._done, self._total, self._unit, now)
        with writing_in(self._folder):
            self._folder.mkdir(exist_ok=True)
            new = self._folder / f".{_FILE}.tmp"
            new.write_text(json.dumps(asdict(phase)), encoding="utf-8")
            new.replace(self._folder / _FILE)
