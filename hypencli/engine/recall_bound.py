"""A lower bound on the recall of a search that scored only some documents.

A surrogate expects a score of every document; the *residual* is what the scorer adds to it. The
residuals of a sample of documents show how far the others can lie above what is expected of them,
and so how many of them may still belong to the best ``k``:

1. The sample is ordered by expected score and cut into groups, since residuals far from the best
   documents differ from those near them. Each group has a mean and a deviation; upper confidence
   limits of both are used.
2. The residuals of all groups, in units of their group's deviation, give one tail: observed shares
   up to its upper fifth, and an exponential beyond that. No document needs to have been seen there.
3. The sum of the tail over all unscored documents bounds how many of them are expected above a
   threshold; a Poisson quantile bounds how many there are.
4. Let ``a`` documents with scores reach a threshold, and let at most ``k - a`` others reach it by
   this bound. Then all of these belong to the best ``k``, so the recall is at least ``a / k``. The
   largest such ``a`` gives the bound. What is expected there rises with ``a``, so one threshold
   decides whether the bound is wrong, however many are tried.

The bound is measured, not proved: it assumes that residuals within a group have one distribution
with at most an exponential tail. ``benchmarks/approx_bound.py`` measures how often it holds. A
scorer that lifts a few documents in a way that no sampled document shows is beyond any sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

GROUP = 24
"""Sampled documents of a group; the last group has up to twice as many."""

_LIMIT = 0.9
"""Confidence of the limits of means, deviations and of the slope of the tail."""

_TAIL = 0.2
"""The share of the sample from which the tail is exponential."""

_TINY = 1e-6
"""The least deviation of residuals, as a share of the largest score: that of rounding. It is also
the least slope of the tail, in deviations."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """Documents without a score.

    Attributes:
        expected: The score that the surrogate expects of each of ``m`` documents.
        counts: The number of documents that each of them stands for, ``[m]``.
    """

    expected: Floats
    counts: Floats

    @property
    def total(self) -> float:
        """The number of documents that all of them stand for."""
        return float(self.counts.sum())


class Residuals:
    """The distribution of scores around what a surrogate expects, from a sample.

    Args:
        expected: The scores ``[v]`` that the surrogate expects of a sample.
        scores: The scores ``[v]`` of the sample. The surrogate must not be fitted to them.
    """

    def __init__(self, expected: Floats, scores: Floats) -> None:
        from scipy import stats

        order = np.argsort(-expected, kind="stable")
        self._expected, residuals = expected[order], (scores - expected)[order]
        groups = np.array_split(residuals, max(1, len(residuals) // GROUP))
        least = _TINY * float(np.abs(scores).max(initial=0.0)) + np.finfo(np.float64).tiny
        means = np.array([each.mean() for each in groups])
        deviations = np.array([max(each.std(ddof=1), least) for each in groups])
        sizes = np.array([len(each) for each in groups])
        self._scaled = np.sort(
            np.concatenate([(e - m) / d for e, m, d in zip(groups, means, deviations, strict=True)])
        )
        self._means = means + stats.norm.ppf(_LIMIT) * deviations / np.sqrt(sizes)
        self._deviations = deviations * np.sqrt((sizes - 1) / stats.chi2.ppf(1 - _LIMIT, sizes - 1))
        ends = np.cumsum(sizes)[:-1]
        self._edges = (self._expected[ends - 1] + self._expected[ends]) / 2  # falling

    @cached_property
    def _slope(self) -> tuple[float, float]:
        """The place where the exponential tail begins, and its mean excess."""
        from scipy import stats

        begin = float(np.quantile(self._scaled, 1 - _TAIL))
        excess = self._scaled[self._scaled > begin] - begin
        if not len(excess):
            return begin, _TINY
        limit = 2 * len(excess) / stats.chi2.ppf(1 - _LIMIT, 2 * len(excess))
        return begin, max(_TINY, float(excess.mean() * limit))

    def reaching(self, threshold: float, expected: Floats) -> Floats:
        """Return bounds ``[m]`` on the probabilities that scores reach a threshold.

        Args:
            threshold: The score to reach.
            expected: The scores ``[m]`` that the surrogate expects.
        """
        group = np.searchsorted(-self._edges, -expected)
        lacking = (threshold - expected - self._means[group]) / self._deviations[group]
        begin, mean_excess = self._slope
        beyond = np.maximum(0.0, lacking - begin) / mean_excess
        below = len(self._scaled) - np.searchsorted(self._scaled, lacking, side="left")
        observed = np.maximum(_TAIL, (below + 1) / (len(self._scaled) + 1))
        share: Floats = np.where(lacking > begin, _TAIL * np.exp(-beyond), observed)
        return share


def missed_share(missed: int, of: int) -> float:
    """Return an upper limit of the share that is missed, from a sample of documents.

    The limit is that of Clopper and Pearson (1934), with the confidence of the other limits.
    """
    from scipy import stats

    if not of:
        return _LIMIT
    return 1.0 if missed >= of else float(stats.beta.ppf(_LIMIT, missed + 1, of - missed))


def most(expected_count: float, confidence: float) -> int:
    """Return the number that a count with this expectation does not exceed, with confidence."""
    from scipy import stats

    return int(stats.poisson.ppf(confidence, expected_count)) if expected_count > 0 else 0


def allowed(others: int, confidence: float) -> float:
    """Return the largest expectation with which a count does not exceed ``others``."""
    from scipy import stats

    return float(stats.gamma.isf(confidence, others + 1))


def recall_bound(
    best: Floats, k: int, unscored: Unscored, residuals: Residuals, confidence: float
) -> float:
    """Bound the recall of a ranking from below.

    Args:
        best: The best scores, falling; no more than ``k``.
        k: The number of documents that a query should get.
        unscored: All documents without a score.
        residuals: How scores lie around what the surrogate expects.
        confidence: The share of searches of which the bound should hold.

    Returns:
        The bound, from 0 to 1.
    """
    wanted = int(min(k, len(best) + round(unscored.total)))
    if not wanted or not len(unscored.expected):
        return 1.0
    low, high = 0, min(wanted, len(best))  # the bound holds at low, and not above high
    while low < high:
        middle = (low + high + 1) // 2
        shares = residuals.reaching(best[middle - 1], unscored.expected)
        others = most(float((shares * unscored.counts).sum()), confidence)
        low, high = (middle, high) if middle + others <= wanted else (low, middle - 1)
    return low / wanted
