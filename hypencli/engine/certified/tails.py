"""The chance that scores lie far above what is expected of them, from a random sample.

A surrogate expects a score of every document; the *deviation* of a document is the absolute
difference of its score and what is expected, less the mean of these differences. Let ``M`` be the
largest deviation of ``m`` random documents. Whatever their distribution, the share of documents
that deviate by more than ``M`` has a mean, over all samples, of at most ``1 / (m + 1)``. Beyond
``M`` one assumption is needed: that tails are not heavier than exponential, in the sense that
``P(D > z x) <= P(D > x) ** z`` for ``z >= 1``. Normal, exponential and bounded deviations are so:
those with a failure rate that increases on average (Barlow and Proschan, 1975). Since ``P(D > M)``
is distributed as the least of ``m`` uniform numbers ``U``, the chance of a deviation above ``z M``
is then at most::

    E[U ** z] = Gamma(z + 1) Gamma(m + 1) / Gamma(m + z + 1),    about  z! / m ** z

A heavier tail shows in the sample: a generalised Pareto distribution is fitted to the largest fifth
of its deviations by probability-weighted moments (Hosking and Wallis, 1987). If its shape is
positive, the larger of both chances counts.
"""

from __future__ import annotations

import numpy as np

from hypencli.engine.recall_bound import Floats

_TAIL = 0.2
"""The share of the sample to which the Pareto distribution is fitted."""

_PLOTTING = 0.35
"""The constant of the plotting positions that Hosking and Wallis recommend."""

_HALVINGS = 60


class Tail:
    """How far scores can lie above what a surrogate expects.

    Args:
        errors: Scores less what was expected, ``[n]``. The surrogate must not be fitted to these
            documents. Without any, every chance is 1.
        m: How many of these documents are random ones.
        least: The least value of ``M``: the rounding of the scores.

    Attributes:
        centre: The mean error.
        largest: ``M``, the largest absolute deviation from it.
        shape: The shape of the Pareto distribution; positive if the tail is heavier than
            exponential.
    """

    def __init__(self, errors: Floats, m: int, least: float = 0.0) -> None:
        self.centre = float(errors.mean()) if len(errors) else 0.0
        deviations = np.sort(np.abs(errors - self.centre))
        self._m = m
        tiny = float(np.finfo(np.float64).tiny)
        self.largest = max(float(deviations[-1]), least, tiny) if len(errors) else np.inf
        self._begin = float(np.quantile(deviations, 1 - _TAIL)) if len(errors) else 0.0
        self.shape, self._scale = _pareto(deviations[deviations > self._begin] - self._begin)

    def log_chance(self, distance: Floats) -> Floats:
        """Return the logarithms ``[n]`` of the chances that errors reach ``centre + distance``."""
        from scipy.special import gammaln  # here, since most searches start without it

        away = np.maximum(distance, 0.0)
        z = away / self.largest
        m = self._m
        light = gammaln(z + 1) + float(gammaln(m + 1)) - gammaln(m + z + 1)
        chance: Floats = np.where(z < 1, 0.0, light)
        if self.shape <= 0:
            return chance
        excess = np.maximum(away - self._begin, 0.0)
        heavy = np.log(_TAIL) - np.log1p(self.shape * excess / self._scale) / self.shape
        larger: Floats = np.maximum(chance, heavy)
        return larger

    def bound(self, chance: float) -> float:
        """Return the error that a document reaches with no more than this chance."""
        low, high = 0.0, self.largest
        wanted = float(np.log(chance))
        while self.log_chance(np.array([high]))[0] > wanted:
            low, high = high, 2 * high
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self.log_chance(np.array([middle]))[0] > wanted:
                low = middle
            else:
                high = middle
        return self.centre + high

    def reaching(
        self, score: float, expected: Floats, risk: float, *, each: float = 1.0, beyond: float = 0.0
    ) -> int:
        """Return how many documents must be scored so that few of the others reach a score.

        Args:
            score: The score to reach.
            expected: What is expected of the documents ``[n]``, falling.
            risk: The number of others that may be expected to reach it.
            each: How many documents each of them stands for.
            beyond: How many others there are, of which no more is expected than of the last one.
        """
        chances = each * np.exp(self.log_chance(score - expected - self.centre))
        if beyond and len(chances):
            chances[-1] += beyond * chances[-1]
        left = np.cumsum(chances[::-1])[::-1]
        return int((left > risk).sum())


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
