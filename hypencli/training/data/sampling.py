"""Sampling of passages for queries, by seed, epoch and row alone, not by batch or process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from hypencli.errors import DataError
from hypencli.training.config import Sampling

_ORDER, _ITEMS, _POOL = 0, 1, 2
"""Random streams, one each for row order, items of a row, and random negatives of a batch."""


@dataclass(frozen=True, slots=True)
class RowTable:
    """Training rows as arrays.

    Axes: ``r`` rows, ``m`` items of all rows, those of the first row first.

    Attributes:
        query: Position of the query of each row among the distinct ones, ``[r]``.
        offsets: Start of the items of each row, and the end of the last, ``[r + 1]``.
        passages: Position of each item among the distinct passages, ``[m]``.
        scores: Teacher scores ``[m]``; NaN for a missing score.
        types: Position of each item's type in ``type_names``, -1 for none, ``[m]``.
        type_names: The types.
        query_id: Returns the id of the query of a row, for messages.
        row_name: The name of a row in messages.
    """

    query: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    passages: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    types: npt.NDArray[np.int16]
    type_names: tuple[str, ...]
    query_id: Callable[[int], str]
    row_name: str = "Training row"

    def __len__(self) -> int:
        return len(self.query)

    def items(self, row: int) -> slice:
        """Return the range of the items of a row."""
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))

    def name(self, row: int) -> str:
        """Return the name of a row for messages."""
        return f"{self.row_name} {row + 1} (query {self.query_id(row)!r})"


@dataclass(frozen=True, slots=True)
class Split:
    """The relevant items of all rows, and the rows for training.

    Attributes:
        positive: Whether each item is relevant, ``[m]``.
        kept: Positions of the rows for training.
    """

    positive: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.int64]


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


def split_rows(rows: RowTable, sampling: Sampling) -> Split:
    """Split the items of rows into positives and negatives, and select rows for training.

    Raises:
        DataError: A row has no positive, a row has too few negatives and that is refused, or no
            row is left.
    """
    positive = _positives(rows, sampling)
    n_positives = np.add.reduceat(positive, rows.offsets[:-1], dtype=np.int64)
    if not n_positives.all():
        row = int(np.argmin(n_positives))
        raise DataError(f"{rows.name(row)} has no positive ({_expectation(sampling)}).")
    n_negatives = np.diff(rows.offsets) - n_positives
    enough = n_negatives >= sampling.negatives_per_query
    if sampling.too_few_negatives == "repeat":
        enough |= n_negatives > 0
    if sampling.too_few_negatives != "skip" and not enough.all():
        row = int(np.argmin(enough))
        raise DataError(
            f"{rows.name(row)} has {n_negatives[row]} negatives; {sampling.negatives_per_query} "
            "are to be drawn.",
            hint="Lower data.negatives_per_query, or set data.too_few_negatives to repeat or skip.",
        )
    if not enough.any():
        raise DataError(
            f"No training row has {sampling.negatives_per_query} negatives: all were left out.",
            hint="Lower data.negatives_per_query.",
        )
    return Split(positive, np.flatnonzero(enough))


def _positives(rows: RowTable, sampling: Sampling) -> npt.NDArray[np.bool_]:
    if sampling.positives == "type":
        if sampling.positive_type not in rows.type_names:
            return np.zeros(len(rows.types), dtype=bool)
        return np.asarray(rows.types == rows.type_names.index(sampling.positive_type))
    if sampling.positives == "score_above":
        return np.asarray(rows.scores > sampling.positive_score)
    first = np.zeros(len(rows.passages), dtype=bool)
    first[rows.offsets[:-1]] = True
    return first


def _expectation(sampling: Sampling) -> str:
    if sampling.positives == "type":
        return f"expected an item of type {sampling.positive_type!r}"
    return f"expected an item that scores above {sampling.positive_score}"


def candidates_of(rows: RowTable, split: Split, row: int) -> Candidates:
    """Return the items of one row that may be drawn."""
    positive = split.positive[rows.items(row)]
    return Candidates(
        row,
        tuple(np.flatnonzero(positive).tolist()),
        tuple(np.flatnonzero(~positive).tolist()),
    )


def draw_items(
    candidates: Candidates, sampling: Sampling, *, seed: int, epoch: int
) -> tuple[int, ...]:
    """Draw one positive, then the negatives, as positions within the row."""
    generator = np.random.default_rng([seed, _ITEMS, epoch, candidates.row])
    positive = candidates.positives[int(generator.integers(len(candidates.positives)))]
    negatives: list[int] = []
    while len(negatives) < sampling.negatives_per_query:
        # Draw in passes: if there are too few, each negative is drawn before any is drawn again.
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
    """Draw ``count`` passages of ``pool`` that are not in ``exclude``.

    Args:
        pool: Passages to draw from.
        exclude: Passages of the batch, which may be relevant to one of its queries.
        count: Number of passages; fewer are drawn only if the pool has no more.
        seed: Seed of the run.
        epoch: The number of the pass over the rows.
        row: First row of the batch, so that batches differ.
    """
    generator = np.random.default_rng([seed, _POOL, epoch, row])
    drawn = generator.choice(pool, size=min(len(pool), count + len(exclude)), replace=False)
    held = set(exclude)
    return [int(i) for i in drawn if int(i) not in held][:count]


class RowOrder(Sampler[tuple[int, int]]):
    """A sampler of ``(epoch, position)`` of every row, in another order in each epoch."""

    def __init__(self, n_rows: int, *, seed: int) -> None:
        self._n_rows = n_rows
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; the data loader calls this before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n_rows

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = np.random.default_rng([self._seed, _ORDER, self._epoch])
        for position in generator.permutation(self._n_rows):
            yield self._epoch, int(position)
