"""Training rows as numbers: which query meets which passages, with which teacher scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from hypencli.errors import DataError
from hypencli.records import TrainingRow
from hypencli.training.config import Sampling
from hypencli.training.sampling import Candidates, draw_items, split_rows


@dataclass(frozen=True, slots=True)
class Example:
    """One query with the passages drawn for one epoch; texts by their position in the tables.

    Attributes:
        epoch: Pass over the rows.
        row: Row of the training file.
        query: Position among the queries.
        passages: Positions among the passages: the positive, then the negatives.
        scores: Teacher scores of those, where a loss needs them.
        relevant: Every passage of the row: none of them may be a random negative.
    """

    epoch: int
    row: int
    query: int
    passages: tuple[int, ...]
    scores: tuple[float, ...] | None
    relevant: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """The distinct texts of a training set.

    Attributes:
        queries: Query texts.
        passages: Passage texts: of the rows first, then of the pool where it has others.
        query_of: Row -> position among the queries.
        passages_of: Row -> positions of its items among the passages.
        pool: Passages that random negatives are drawn from.
    """

    queries: list[str]
    passages: list[str]
    query_of: list[int]
    passages_of: list[tuple[int, ...]]
    pool: npt.NDArray[np.int64]


def collect_texts(rows: Sequence[TrainingRow], pool: Sequence[str] | None) -> Texts:
    """Every text once, however many rows hold it; the pool is all items where none is given."""
    queries: dict[str, int] = {}
    passages: dict[str, int] = {}
    query_of = [queries.setdefault(row.query.text, len(queries)) for row in rows]
    passages_of = [
        tuple(passages.setdefault(item.content, len(passages)) for item in row.items)
        for row in rows
    ]
    if pool is None:
        drawn_from = np.arange(len(passages), dtype=np.int64)
    else:
        positions = {passages.setdefault(text, len(passages)) for text in pool}
        drawn_from = np.array(sorted(positions), dtype=np.int64)
    return Texts(list(queries), list(passages), query_of, passages_of, drawn_from)


class Examples(Dataset[Example]):
    """The training set: ``examples[epoch, position]`` draws what the row meets in that epoch.

    Raises:
        DataError: Rows that cannot be trained on, as :func:`split_rows` says, or an item without
            the teacher score that a loss needs. Nothing of this waits for its step.
    """

    def __init__(
        self,
        rows: Sequence[TrainingRow],
        texts: Texts,
        sampling: Sampling,
        *,
        seed: int,
        with_scores: bool,
    ) -> None:
        self._texts = texts
        self._sampling = sampling
        self._seed = seed
        self._candidates = split_rows(rows, sampling)
        self._scores = _scores(rows, self._candidates) if with_scores else None

    def __len__(self) -> int:
        return len(self._candidates)

    def __getitem__(self, index: tuple[int, int]) -> Example:
        epoch, position = index
        candidates = self._candidates[position]
        row = candidates.row
        items = draw_items(candidates, self._sampling, seed=self._seed, epoch=epoch)
        passages = self._texts.passages_of[row]
        scores = None if self._scores is None else tuple(self._scores[row][j] for j in items)
        return Example(
            epoch,
            row,
            self._texts.query_of[row],
            tuple(passages[j] for j in items),
            scores,
            passages,
        )


def _scores(
    rows: Sequence[TrainingRow], candidates: Sequence[Candidates]
) -> Mapping[int, tuple[float, ...]]:
    scores = {}
    for row in (each.row for each in candidates):
        items = rows[row].items
        missing = [item.id for item in items if item.score is None]
        if missing:
            raise DataError(
                f"Training row {row + 1} (query {rows[row].query.query_id!r}): item {missing[0]!r} "
                "has no score; margin_mse needs a teacher's score on every item.",
                hint="Score the file with a teacher, or train with cross_entropy alone.",
            )
        scores[row] = tuple(item.score for item in items if item.score is not None)
    return scores
