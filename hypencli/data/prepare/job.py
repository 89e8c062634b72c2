"""Input and result of a preparation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hypencli.data.prepare.malformed_records import MalformedRecords
from hypencli.progress import SILENT, Progress, Task
from hypencli.records import TrainingRow

T = TypeVar("T")

DEFAULT_SEED = 42


@dataclass(frozen=True, slots=True)
class Job:
    """The settings and services of one preparation.

    Attributes:
        source_folder: The folder with the released files; None downloads them.
        out: The folder to write to.
        downloads: Folder for downloads, which is kept until the preparation succeeds.
        unpacked: Folder for unpacked archives.
        malformed: Receives malformed records.
        task: Counts the records.
        progress: Receives messages about downloads.
        seed: Seed of random choices.
        all_queries: Whether queries without an instruction are kept.
    """

    source_folder: Path | None
    out: Path
    downloads: Path
    unpacked: Path
    malformed: MalformedRecords
    task: Task
    progress: Progress = SILENT
    seed: int = DEFAULT_SEED
    all_queries: bool = False

    def source(self, path: Path) -> str:
        """Return the id of a file or folder for records: its path relative to ``source_folder``."""
        below = path if self.source_folder is None else path.relative_to(self.source_folder)
        return f"file:{below.as_posix()}"

    def counted(self, records: Iterable[T]) -> Iterator[T]:
        """Yield records and count each."""
        for record in records:
            yield record
            self.task.advance()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a dataset: a split of training rows, or a collection.

    Attributes:
        counts: Kind of content -> count.
        left_out: Reason -> how many records of the source are left out.
        notes: Remark -> how many records it concerns.
    """

    name: str
    counts: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)


class RowCounts:
    """Counts of training rows during a preparation.

    Args:
        malformed: Receives malformed records.
    """

    def __init__(self, malformed: MalformedRecords) -> None:
        self.malformed = malformed
        self.left_out: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def add(self, row: TrainingRow) -> None:
        """Count a row and its items."""
        self._counts["rows"] += 1
        self._counts.update(f"{item.type}s" for item in row.items)

    def part(self, name: str) -> Part:
        """Return the counts as a part; zeros under ``left_out`` and ``notes`` are dropped."""
        left_out, notes = +self.left_out, +self.notes
        return Part(name, dict(self._counts), dict(left_out), dict(notes))


@dataclass(frozen=True, slots=True)
class PreparedParts:
    """The result of a preparation.

    Attributes:
        parts: The parts in order.
        sources: Ids of the sources: files, hub datasets, ir_datasets ids, commits.
        corpus: Id of the corpus, if it is not part of the dataset.
    """

    parts: tuple[Part, ...]
    sources: tuple[str, ...]
    corpus: str | None = None
