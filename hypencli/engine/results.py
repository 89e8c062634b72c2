"""The results and costs of a search, in one form for every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from hypencli.engine.scorers import Scorer
from hypencli.engine.seconds import SearchSeconds
from hypencli.errors import ModelError
from hypencli.records import Ranking

Counts: TypeAlias = npt.NDArray[np.int64]

Bounds: TypeAlias = npt.NDArray[np.float64]
"""Lower bounds on the recall of queries, ``[q]``."""

OnScored: TypeAlias = Callable[[int], None]
"""Called with the number of scores just computed, over all queries."""


@dataclass(slots=True)
class FirstPassOutcome:
    """The outcome of the first pass of one query.

    Attributes:
        rescored: Documents scored again in float32.
        widened: How many of these were added after the first round.
        bound: The bound on how far a float32 score lies above that of the first pass.
        fell_back: Whether all documents were scored in float32 in the end.
        dtype: Dtype of the last first pass, or ``surrogate``.
        risk: The number of the best ``k`` that may be expected to be missing, where the first pass
            gives such a number.
    """

    rescored: int = 0
    widened: int = 0
    bound: float = 0.0
    fell_back: bool = False
    dtype: str = ""
    risk: float = 0.0


@dataclass(frozen=True, slots=True)
class FirstPassCosts:
    """The outcomes of the first pass of ``q`` queries, as columns ``[q]``.

    Attributes:
        rescored: Documents scored again.
        widened: How many of these were added after the first round.
        bound: The bound on how far a float32 score lies above that of the first pass.
        fell_back: Whether all documents were scored in float32 in the end.
        risk: The number of the best ``k`` that may be expected to be missing; 0 without one.
        dtypes: Dtype of the last first pass of each query, or ``surrogate``; empty if there was
            none.
        certified: Whether the first passes are error-bounded by float32 scores.
    """

    rescored: Counts
    widened: Counts
    bound: npt.NDArray[np.float64]
    fell_back: npt.NDArray[np.bool_]
    risk: npt.NDArray[np.float64]
    dtypes: tuple[str, ...]
    certified: bool

    @classmethod
    def of(cls, outcomes: Sequence[FirstPassOutcome], *, certified: bool) -> FirstPassCosts:
        """Return the outcomes of all queries, in order, as columns."""
        return cls(
            rescored=counts([each.rescored for each in outcomes]),
            widened=counts([each.widened for each in outcomes]),
            bound=np.asarray([each.bound for each in outcomes], dtype=np.float64),
            fell_back=np.asarray([each.fell_back for each in outcomes], dtype=np.bool_),
            risk=np.asarray([each.risk for each in outcomes], dtype=np.float64),
            dtypes=tuple(each.dtype for each in outcomes),
            certified=certified,
        )


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The rankings of a search, with their costs.

    Attributes:
        rankings: One ranking a query, best document first.
        evaluations: The number of documents scored for each query, ``[q]``.
        iterations: Steps that each query's search took, ``[q]``; 1 for engines without steps.
        seconds: The time of each part of the search.
        scan: The outcomes of the first pass, if there was one.
        recall_bounds: A lower bound on the recall of each query, ``[q]``, if the engine gives one.
    """

    rankings: list[Ranking]
    evaluations: Counts
    iterations: Counts
    seconds: SearchSeconds = field(default_factory=SearchSeconds)
    scan: FirstPassCosts | None = None
    recall_bounds: Bounds | None = None


class Engine(Protocol):
    """A search method: exact, over a neighbour graph, guided, or over a vector index."""

    def search(self, scorer: Scorer, *, k: int, on_scored: OnScored | None = None) -> SearchResult:
        """Return the ``k`` best documents of every query of the scorer that the method scores.

        Raises:
            ModelError: A score is NaN or infinite, the width of the vectors differs from that of
                the scorer, or ``k`` is below 1.
        """
        ...


class TextEngine(Protocol):
    """A search method over the texts of documents, which needs no model."""

    def search(
        self, texts: Sequence[str], *, k: int, on_scored: OnScored | None = None
    ) -> SearchResult:
        """Return the ``k`` best documents for the text of each query.

        Raises:
            ModelError: ``k`` is below 1.
        """
        ...


def refuse_k(k: int) -> None:
    """Raise an error if ``k``, the number of documents a query gets, is below 1.

    Raises:
        ModelError: ``k`` is below 1.
    """
    if k < 1:
        raise ModelError(f"k is {k}; a search returns at least 1 document a query.")


def counts(values: Sequence[int]) -> Counts:
    """Return whole numbers as an array ``[q]``."""
    return np.asarray(values, dtype=np.int64)
