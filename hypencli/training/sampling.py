"""Which passages a query meets: decided by seed, epoch and row alone, not by batch or process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from hypencli.errors import DataError
from hypencli.records import TrainingRow
from hypencli.training.config import Sampling

_ORDER, _ITEMS, _POOL = 0, 1, 2
"""Separate streams of random numbers: row order, items of a row, random negatives of a batch."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The items of one row that may be drawn.

    Attributes:
        row: Position of the row in the training file.
        positives: Positions of relevant items within the row.
        negatives: Positions of the others.
    """

    row: int
    positives: tuple[int, ...]
    negatives: tuple[int, ...]


def split_rows(rows: Sequence[TrainingRow], sampling: Sampling) -> list[Candidates]:
    """Positives and negatives of every row that can be trained on.

    Raises:
        DataError: A row has no positive; or too few negatives, where that is not allowed; or
            nothing is left.
    """
    kept = []
    for i, row in enumerate(rows):
        positives = _positives(row, sampling)
        if not positives:
            raise DataError(f"{_name(i, row)} has no positive ({_expectation(sampling)}).")
        negatives = tuple(j for j in range(len(row.items)) if j not in set(positives))
        if _has_enough(negatives, sampling, where=_name(i, row)):
            kept.append(Candidates(i, positives, negatives))
    if not kept:
        raise DataError(
            f"No training row has {sampling.negatives_per_query} negatives: all were left out.",
            hint="Lower data.negatives_per_query.",
        )
    return kept


def _positives(row: TrainingRow, sampling: Sampling) -> tuple[int, ...]:
    if sampling.positives == "first":
        return (0,)
    if sampling.positives == "type":
        return tuple(j for j, item in enumerate(row.items) if item.type == sampling.positive_type)
    return tuple(
        j
        for j, item in enumerate(row.items)
        if item.score is not None and item.score > sampling.positive_score
    )


def _expectation(sampling: Sampling) -> str:
    if sampling.positives == "type":
        return f"expected an item of type {sampling.positive_type!r}"
    return f"expected an item that scores above {sampling.positive_score}"


def _has_enough(negatives: tuple[int, ...], sampling: Sampling, *, where: str) -> bool:
    wanted = sampling.negatives_per_query
    if len(negatives) >= wanted:
        return True
    if sampling.too_few_negatives == "repeat" and negatives:
        return True
    if sampling.too_few_negatives == "skip":
        return False
    raise DataError(
        f"{where} has {len(negatives)} negatives; {wanted} are to be drawn.",
        hint="Lower data.negatives_per_query, or set data.too_few_negatives to repeat or skip.",
    )


def _name(index: int, row: TrainingRow) -> str:
    return f"Training row {index + 1} (query {row.query.query_id!r})"


def draw_items(
    candidates: Candidates, sampling: Sampling, *, seed: int, epoch: int
) -> tuple[int, ...]:
    """One positive, then the negatives: positions within the row."""
    generator = np.random.default_rng([seed, _ITEMS, epoch, candidates.row])
    positive = candidates.positives[int(generator.integers(len(candidates.positives)))]
    negatives: list[int] = []
    while len(negatives) < sampling.negatives_per_query:
        # One pass unless there are too few: then every negative comes before any comes again.
        order = generator.permutation(len(candidates.negatives))
        negatives += [candidates.negatives[int(j)] for j in order]
    return (positive, *negatives[: sampling.negatives_per_query])


def draw_random(
    pool: npt.NDArray[np.int64],
    exclude: Sequence[int],
    *,
    count: int,
    seed: int,
    epoch: int,
    row: int,
) -> list[int]:
    """``count`` passages of ``pool``, none of them in ``exclude``: what the batch itself holds.

    Args:
        pool: Passages to draw from.
        exclude: Passages that may be relevant to a query of the batch.
        count: How many; fewer come only where the pool has no more.
        seed: Seed of the run.
        epoch: Pass over the rows.
        row: First row of the batch, which makes batches differ.
    """
    generator = np.random.default_rng([seed, _POOL, epoch, row])
    drawn = generator.choice(pool, size=min(len(pool), count + len(exclude)), replace=False)
    held = set(exclude)
    return [int(i) for i in drawn if int(i) not in held][:count]


class RowOrder(Sampler[tuple[int, int]]):
    """``(epoch, position)`` of every row, in an order of its own in each epoch."""

    def __init__(self, n_rows: int, *, seed: int) -> None:
        self._n_rows = n_rows
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n_rows

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = np.random.default_rng([self._seed, _ORDER, self._epoch])
        for position in generator.permutation(self._n_rows):
            yield self._epoch, int(position)
