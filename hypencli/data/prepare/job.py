"""What a preparation works with, and what it has made in the end."""

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
    """One preparation under way.

    Attributes:
        source_folder: The folder with the source's files; None downloads them.
        out: The folder to write to.
        downloads: Where downloaded files are kept until all is done.
        unpacked: Where archives are unpacked.
        malformed: Told of records that cannot be used.
        task: Told of records read.
        progress: Told of downloads.
        seed: Of random choices.
        all_queries: Whether queries without an instruction are kept too.
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
        """What stands for a given file or folder in records: its place in the given folder."""
        below = path if self.source_folder is None else path.relative_to(self.source_folder)
        return f"file:{below.as_posix()}"

    def counted(self, records: Iterable[T]) -> Iterator[T]:
        """Pass records on, and tell of each."""
        for record in records:
            yield record
            self.task.advance()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of what was made: a split of training rows, or a collection.

    Attributes:
        counts: What is in it.
        left_out: What the source has and the part has not.
        notes: What is worth knowing of what is in it.
    """

    name: str
    counts: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)


class RowCounts:
    """Counts while training rows are made.

    Args:
        malformed: Told of records that cannot be used.
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
        """What was counted; nothing of 0 is left out or noted."""
        left_out, notes = +self.left_out, +self.notes
        return Part(name, dict(self._counts), dict(left_out), dict(notes))


@dataclass(frozen=True, slots=True)
class PreparedParts:
    """What a preparation has made.

    Attributes:
        parts: In their order.
        sources: Where it came from: files, hub datasets, ir_datasets ids, commits.
        corpus: The corpus of its queries, where it is no part of the dataset.
    """

    parts: tuple[Part, ...]
    sources: tuple[str, ...]
    corpus: str | None = None
