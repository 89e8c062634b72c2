"""Fusion of several runs of the same queries into one run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from hypencli.errors import DataError, UsageError, did_you_mean
from hypencli.option_fields import LARGEST
from hypencli.records import Ranking, Results

FusionMethod: TypeAlias = Literal["rrf", "combsum", "interpolate"]
FUSION_METHODS: tuple[FusionMethod, ...] = get_args(FusionMethod)

Normalisation: TypeAlias = Literal["min-max", "none"]
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)

RRF_K = 60


@dataclass(frozen=True, slots=True)
class Fusion:
    """A fusion method and its parameters.

    The fused score of a document is a sum over the rankings that contain it. The terms are:

    ``rrf``: ``1 / (rrf_k + rank)``, ranks from 1 (Cormack, Clarke and Büttcher, SIGIR 2009);
    ``combsum``: the normalised score in the ranking (Fox and Shaw, TREC-2, 1994);
    ``interpolate``: the normalised score times the weight of the run.

    Attributes:
        method: One of :data:`FUSION_METHODS`.
        k: Documents that each query keeps.
        rrf_k: Constant of ``rrf``; a larger one favours the first ranks less. The paper uses 60.
        weights: Weights of the runs for ``interpolate``; None gives each run ``1 / n_runs``.
        normalise: For ``combsum`` and ``interpolate``: ``min-max`` scales the scores of each
            ranking to 0 to 1 (all 1 if they are equal), ``none`` keeps them.
    """

    method: FusionMethod = "rrf"
    k: int = 1000
    rrf_k: int = RRF_K
    weights: tuple[float, ...] | None = None
    normalise: Normalisation = "min-max"

    def __post_init__(self) -> None:
        if self.method not in FUSION_METHODS:
            hint = did_you_mean(self.method, FUSION_METHODS)
            raise UsageError(f"There is no fusion method {self.method!r}.", hint=hint)
        if self.normalise not in NORMALISATIONS:
            hint = did_you_mean(self.normalise, NORMALISATIONS)
            raise UsageError(f"There is no normalisation {self.normalise!r}.", hint=hint)
        if self.k < 1 or self.rrf_k < 0:
            raise UsageError("k must be 1 or more, and rrf_k 0 or more.")
        if max(self.k, self.rrf_k) > LARGEST:
            raise UsageError(f"k or rrf_k is too large: {LARGEST:,} is the limit.")
        if self.weights is not None and self.method != "interpolate":
            raise UsageError(f"{self.method} takes no weights.", hint="--method interpolate does.")
        if self.weights is not None and not all(0 <= one < float("inf") for one in self.weights):
            raise UsageError(f"Weights must be 0 or more, not {self.weights}.")

    def weights_of(self, n_runs: int) -> tuple[float, ...]:
        """The weights of ``n_runs`` runs.

        Raises:
            UsageError: The number of weights differs from the number of runs.
        """
        weights = self.weights or (1 / n_runs,) * n_runs
        if len(weights) != n_runs:
            raise UsageError(
                f"{len(weights)} weights for {n_runs} runs.", hint="Give each run one, in order."
            )
        return weights


def fuse(runs: Sequence[Results], how: Fusion) -> dict[str, Ranking]:
    """Fuse runs into one, with every query that any of them has.

    A run adds nothing to a query or document that it lacks. Ties are broken by document id.

    Args:
        runs: Two or more runs, each in rank order.
        how: The method and its parameters.

    Returns:
        Query id -> ranking, best first, of at most ``how.k`` documents.

    Raises:
        UsageError: The number of weights differs from the number of runs.
        DataError: A score or fused score is NaN or infinite; the message names query and document.
    """
    parts = _parts(how, how.weights_of(len(runs)))
    queries = dict.fromkeys(query for run in runs for query in run)
    fused: dict[str, Ranking] = {}
    for query in queries:
        rankings = [run.get(query, []) for run in runs]
        if how.method != "rrf":  # rrf does not read scores
            for ranking in rankings:
                _refuse_non_finite(query, ranking, "the score")
        summed = _summed([part(ranking) for part, ranking in zip(parts, rankings, strict=True)])
        _refuse_non_finite(query, summed, "the fused score")
        fused[query] = summed[: how.k]
    return fused


def _refuse_non_finite(query: str, ranking: Ranking, what: str) -> None:
    for doc_id, score in ranking:
        if not math.isfinite(score):
            raise DataError(f"Query {query!r}, document {doc_id!r}: {what} is {score}.")


def _parts(how: Fusion, weights: Sequence[float]) -> list[Callable[[Ranking], Ranking]]:
    """For each run, a function from a ranking to the terms that it adds."""
    if how.method == "rrf":
        return [lambda ranking: _reciprocal_ranks(ranking, how.rrf_k)] * len(weights)
    if how.method == "combsum":
        weights = [1.0] * len(weights)
    return [_weighing(weight, how.normalise) for weight in weights]


def _reciprocal_ranks(ranking: Ranking, k: int) -> Ranking:
    return [(doc_id, 1 / (k + rank)) for rank, (doc_id, _) in enumerate(ranking, start=1)]


def _weighing(weight: float, normalise: Normalisation) -> Callable[[Ranking], Ranking]:
    def weighed(ranking: Ranking) -> Ranking:
        scored = _min_max(ranking) if normalise == "min-max" else ranking
        return [(doc_id, weight * score) for doc_id, score in scored]

    return weighed


def _min_max(ranking: Ranking) -> Ranking:
    if not ranking:
        return []
    low = min(score for _, score in ranking)
    span = max(score for _, score in ranking) - low
    return [(doc_id, (score - low) / span if span else 1.0) for doc_id, score in ranking]


def _summed(parts: Sequence[Ranking]) -> Ranking:
    scores: dict[str, float] = {}
    for part in parts:
        for doc_id, score in part:
            scores[doc_id] = scores.get(doc_id, 0.0) + score
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
