"""The chance that scores lie far above what is expected of them, from a random sample.

A surrogate expects a score of every document; its *error* is the score less what is expected, and
its *deviation* the error less the mean error. Let ``M`` be the largest of the ``m`` deviations
above 0 in a sample. Whatever their distribution, the share of deviations above 0 that are larger
than ``M`` has a mean, over all samples, of at most ``1 / (m + 1)``. Beyond ``M`` one assumption is
needed: that the tail is not heavier than exponential, in the sense that ``P(D > z x)`` is at most
``P(D > x) ** z`` for ``z >= 1``. Normal, exponential and bounded deviations are so: those with a
failure rate that increases on average (Barlow and Proschan, 1975). Since ``P(D > M)`` is
distributed as the least of ``m`` uniform numbers ``U``, the chance of a deviation above ``z M`` is
then at most the share of deviations above 0, times::

    E[U ** z] = Gamma(z + 1) Gamma(m + 1) / Gamma(m + z + 1),    about  z! / m ** z

A heavier tail shows in the sample: a generalised Pareto distribution is fitted to the largest fifth
of its deviations by probability-weighted moments (Hosking and Wallis, 1987). If its shape is
positive, the larger of both chances counts. For Student's t with 3 degrees of freedom that is about
half of the true chance at ``2 M``: a measurement, no bound. But it then takes so long to fall that
such a query is given up. Of several samples, that which gives the largest chance counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hypencli.engine.recall_bound import Floats

_TAIL = 0.2
"""The share of the sample to which the Pareto distribution is fitted."""

_PLOTTING = 0.35
"""The constant of the plotting positions that Hosking and Wallis recommend."""

_FARTHEST = 1e6
"""The largest multiple of ``M`` that is told apart."""

_HALVINGS = 60
_TINY = float(np.finfo(np.float64).tiny)


class Tail:
    """How far scores can lie above what a surrogate expects.

    Args:
        errors: Scores less what was expected, ``[m]``. The surrogate must not be fitted to these
            documents. Without any, every chance is 1.
        least: The least value of ``M``: the rounding of the scores.

    Attributes:
        centre: The mean error.
        largest: ``M``, the largest deviation from it.
        shape: The shape of the Pareto distribution; positive if the tail is heavier than
            exponential.
    """

    def __init__(self, errors: Floats, least: float = 0.0) -> None:
        self.centre = float(errors.mean()) if len(errors) else 0.0
        deviations = np.sort(errors - self.centre)
        above = deviations[deviations > 0]
        deviations = above if len(above) else np.zeros(len(errors))  # all errors are equal
        self._m = len(deviations)
        self._share = self._m / max(1, len(errors))
        self.largest = max(float(deviations[-1]), least, _TINY) if self._m else math.inf
        self._begin = float(np.quantile(deviations, 1 - _TAIL)) if self._m else 0.0
        self.shape, self._scale = _pareto(deviations[deviations > self._begin] - self._begin)

    def log_chance(self, lacking: Floats) -> Floats:
        """Return the logarithms ``[n]`` of the chances that errors are as large as ``lacking``."""
        from scipy.special import gammaln  # here, since most searches start without it

        away = np.maximum(lacking - self.centre, 0.0)
        z, m = np.minimum(away / self.largest, _FARTHEST), self._m
        light = gammaln(z + 1) + float(gammaln(m + 1)) - gammaln(m + z + 1)
        chance: Floats = np.where(z < 1, 0.0, math.log(self._share or 1.0) + light)
        if self.shape <= 0:
            return chance
        excess = np.maximum(away - self._begin, 0.0)
        heavy = (
            math.log(_TAIL * self._share) - np.log1p(self.shape * excess / self._scale) / self.shape
        )
        larger: Floats = np.maximum(chance, heavy)
        return larger


def chances(tails: Sequence[Tail], lacking: Floats) -> Floats:
    """Return the chances ``[n]`` that errors are as large as ``lacking``, by the worst tail."""
    worst: Floats = np.exp(np.max([tail.log_chance(lacking) for tail in tails], axis=0))
    return worst


def largest_error(tails: Sequence[Tail], chance: float) -> float:
    """Return the error that a document reaches with no more than this chance."""
    low, high = 0.0, max(tail.centre + tail.largest for tail in tails)
    while chances(tails, np.array([high]))[0] > chance:
        low, high = high, 2 * max(high, _TINY)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = chances(tails, np.array([middle]))[0] > chance
        low, high = (middle, high) if above else (low, middle)
    return high


def needed(shares: Floats, risk: float) -> int:
    """Return how many documents must be scored so that few of the others are missing.

    Args:
        shares: The chances ``[n]`` that documents are missing, or sums of such chances, in the
            order in which they would be scored.
        risk: The number of others that may be expected to be missing.
    """
    return int((np.cumsum(shares[::-1])[::-1] > risk).sum())


def _pareto(excesses: Floats) -> tuple[float, float]:
    """Return the shape and the scale of a Pareto distribution of excesses ``[n]``, rising."""
    n = len(excesses)
    if n < 2:
        return 0.0, 1.0
    above = 1 - (np.arange(1, n + 1) - _PLOTTING) / n
    mean, weighted = float(excesses.mean()), float((above * excesses).mean())
    lacking = mean - 2 * weighted
    if not lacking > 0:  # all are equal
        return 0.0, 1.0
    return 2 - mean / lacking, 2 * mean * weighted / lacking
