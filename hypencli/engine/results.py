"""What a search found, and what it cost: the same record for every engine."""

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

OnScored: TypeAlias = Callable[[int], None]
"""Called with the number of scores just computed, over all queries."""


@dataclass(slots=True)
class FirstPassOutcome:
    """What became of one query whose documents were scanned in a fast dtype.

    Attributes:
        rescored: Documents scored again in float32.
        widened: How many of these were added after the first.
        bound: How far a float32 score was taken to lie above its scan, at most.
        fell_back: Whether the query was searched in float32 after all.
        dtype: Arithmetic of the last scan.
    """

    rescored: int = 0
    widened: int = 0
    bound: float = 0.0
    fell_back: bool = False
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class FirstPassCosts:
    """What scans in a fast dtype needed beside themselves: the outcomes ``[q]``, column by column.

    Attributes:
        rescored: Documents scored again.
        widened: How many of these were added after the first.
        bound: How far a float32 score was taken to lie above its scan, at most.
        fell_back: Whether the query was searched in float32 after all.
        dtypes: Arithmetic of each query's last scan; empty where there was none.
        certified: Whether float32 has certified the scans.
    """

    rescored: Counts
    widened: Counts
    bound: npt.NDArray[np.float64]
    fell_back: npt.NDArray[np.bool_]
    dtypes: tuple[str, ...]
    certified: bool

    @classmethod
    def of(cls, outcomes: Sequence[FirstPassOutcome], *, certified: bool) -> FirstPassCosts:
        """The outcomes of all queries, in order."""
        return cls(
            rescored=counts([each.rescored for each in outcomes]),
            widened=counts([each.widened for each in outcomes]),
            bound=np.asarray([each.bound for each in outcomes], dtype=np.float64),
            fell_back=np.asarray([each.fell_back for each in outcomes], dtype=np.bool_),
            dtypes=tuple(each.dtype for each in outcomes),
            certified=certified,
        )


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        rankings: One a query, best first.
        evaluations: How many documents each query's scorer has scored, ``[q]``.
        iterations: Steps that each query's search took, ``[q]``; 1 for engines without steps.
        seconds: Where the time went.
        scan: What a scan in a fast dtype needed, where there was one.
    """

    rankings: list[Ranking]
    evaluations: Counts
    iterations: Counts
    seconds: SearchSeconds = field(default_factory=SearchSeconds)
    scan: FirstPassCosts | None = None


class Engine(Protocol):
    """One way to find the best documents: exact, over a graph, guided, over a vector index."""

    def search(self, scorer: Scorer, *, k: int, on_scored: OnScored | None = None) -> SearchResult:
        """The ``k`` best documents found for every query of the scorer.

        Raises:
            ModelError: A score is NaN or infinite, the vectors have another width than the scorer,
                or ``k`` is below 1.
        """
        ...


def refuse_k(k: int) -> None:
    """Every engine's check of ``k``.

    Raises:
        ModelError: It is below 1.
    """
    if k < 1:
        raise ModelError(f"k is {k}; a search returns at least 1 document a query.")


def counts(values: Sequence[int]) -> Counts:
    """Counts ``[q]``."""
    return np.asarray(values, dtype=np.int64)
