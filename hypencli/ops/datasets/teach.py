"""``hype teach``: scores every item of a training file with a teacher, for distillation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypencli.data.atomic import only_one
from hypencli.data.training import TrainingSource, write_training_rows
from hypencli.data.training.scores import UnfinishedScores
from hypencli.data.training.writing import refuse_existing
from hypencli.errors import DataError, ModelError
from hypencli.ops.datasets.teachers import Teacher
from hypencli.paths import is_dir
from hypencli.progress import SILENT, Progress, Task
from hypencli.records import TrainingRow

WINDOW_PAIRS = 4_096
"""Pairs that are scored together, sorted by length. A killed process loses at most these."""


@dataclass(frozen=True, slots=True)
class Taught:
    """Result of scoring a training file.

    Attributes:
        output: The file.
        teacher: Name of the teacher.
        rows: Rows written.
        items: Items of these rows.
        replaced: Items that had a score before.
        resumed: Scores of an earlier, interrupted command.
        seconds: Time of the scoring in seconds.
    """

    output: Path
    teacher: str
    rows: int
    items: int
    replaced: int
    resumed: int
    seconds: float


def teach(
    source: TrainingSource,
    teacher: Teacher,
    output: Path,
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Taught:
    """Score every item of training rows, and write the rows with the scores in their order.

    Scores are appended to a file beside the output, which is deleted at the end. An interrupted
    command resumes from that file. It loses at most one window of :data:`WINDOW_PAIRS` pairs, plus
    the rest of a row.

    Args:
        source: The rows.
        teacher: The teacher.
        output: File to write: ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.
        overwrite: Replace an existing file, and unfinished scores of another command.
        progress: Where to report.

    Raises:
        UsageError: The output exists, or another process writes it.
        DataError: A row is malformed, or there are unfinished scores of another command.
        ModelError: The teacher returns a score that is not finite; the message has the pair.
    """
    refuse_existing(output, overwrite=overwrite)
    if not is_dir(output.parent):
        raise DataError(f"{output} cannot be written: there is no folder {output.parent}.")
    lock = output.with_name(f".{output.name}.scores.lock")
    with only_one(lock, f"Another process is writing {output}."):
        return _teach(source, teacher, output, overwrite=overwrite, progress=progress)


def _teach(
    source: TrainingSource, teacher: Teacher, output: Path, *, overwrite: bool, progress: Progress
) -> Taught:
    scores = _unfinished(source, teacher, output, overwrite=overwrite)
    resumed = scores.count
    if resumed:
        progress.message(f"resuming after {resumed:,} scores of an interrupted command")
    # All rows are read first, so that a malformed row is reported before hours of scoring.
    total = sum(len(row.items) for row in source)
    started = time.perf_counter()
    with progress.task("teach", total=total, unit="pairs") as task:
        _score(source, teacher, scores, task)
    seconds = time.perf_counter() - started
    counts = _Counts()
    rows = write_training_rows(output, _scored(source, scores.read(), counts))
    scores.remove()
    return Taught(output, teacher.name, rows, counts.items, counts.replaced, resumed, seconds)


def _unfinished(
    source: TrainingSource, teacher: Teacher, output: Path, *, overwrite: bool
) -> UnfinishedScores:
    path = output.with_name(f".{output.name}.scores")
    identity: Mapping[str, object] = {"data": source.fingerprint, **teacher.identity}
    try:
        return UnfinishedScores(path, identity)
    except DataError:
        if not overwrite:
            raise
        path.unlink()
        return UnfinishedScores(path, identity)


def _score(source: TrainingSource, teacher: Teacher, scores: UnfinishedScores, task: Task) -> None:
    """Score the remaining pairs, window by window."""
    with scores.appending(scores.count) as stream:
        left = scores.count
        for window in _windows(source):
            size = sum(len(row.items) for row in window)
            if left >= size:
                left -= size
            else:
                scored = teacher.score(window)
                _refuse_non_finite(scored.tolist(), window, teacher)
                scores.append(stream, scored[left:])
                left = 0
            task.advance(size)


def _refuse_non_finite(
    scores: Sequence[float], window: Sequence[TrainingRow], teacher: Teacher
) -> None:
    """Refuse scores that are not finite."""
    pairs = ((row.query.query_id, item.id) for row in window for item in row.items)
    for (query_id, doc_id), score in zip(pairs, scores, strict=True):
        if not math.isfinite(score):
            raise ModelError(
                f"{teacher.name} scores query {query_id!r} and passage {doc_id!r} with {score}.",
                hint="Check the weights of the teacher.",
            )


def _windows(rows: Iterable[TrainingRow]) -> Iterator[list[TrainingRow]]:
    """Group rows into windows of at least :data:`WINDOW_PAIRS` pairs."""
    window: list[TrainingRow] = []
    size = 0
    for row in rows:
        window.append(row)
        size += len(row.items)
        if size >= WINDOW_PAIRS:
            yield window
            window, size = [], 0
    if window:
        yield window


@dataclass(slots=True)
class _Counts:
    items: int = 0
    replaced: int = 0


def _scored(
    rows: Iterable[TrainingRow], scores: Iterator[float], counts: _Counts
) -> Iterator[TrainingRow]:
    for row in rows:
        items = tuple(replace(item, score=next(scores)) for item in row.items)
        counts.items += len(items)
        counts.replaced += sum(item.score is not None for item in row.items)
        yield TrainingRow(row.query, items)
