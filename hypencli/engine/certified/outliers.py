"""Vectors unlike the others of a corpus: a sample of the corpus says nothing of their scores.

Rounding errors grow with the values that are rounded. A vector that is far longer than the others,
or has one far larger value, can lose its whole score where large products cancel. In int8 such
values are clipped, and a far shorter vector becomes zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hypencli.engine.corpus import Vectors

_TAIL = 0.05
"""Share of a sample that may lie beyond each end of a range before it is widened."""

_WIDER = 1.5
"""Factor by which a range is widened at each end."""


@dataclass(frozen=True, slots=True)
class TypicalVectors:
    """The lengths and largest values that the vectors of a corpus have.

    Attributes:
        shortest: Least length of a typical vector.
        longest: Greatest length of a typical vector.
        largest: Greatest absolute value of a typical vector.
    """

    shortest: float
    longest: float
    largest: float

    @classmethod
    def of(cls, sample: Vectors) -> TypicalVectors:
        """Find the ranges of a sample ``[m, d]``; all finite vectors are typical if none is."""
        rows = torch.from_numpy(sample.astype(np.float32))
        lengths, largest = (each.double().numpy() for each in _measured(rows))
        finite = np.isfinite(lengths)
        if not finite.any():
            return cls(0.0, np.inf, np.inf)
        low, high = np.quantile(lengths[finite], [_TAIL, 1 - _TAIL])
        peak = np.quantile(largest[finite], 1 - _TAIL)
        return cls(float(low) / _WIDER, float(high) * _WIDER, float(peak) * _WIDER)

    def outliers(self, rows: torch.Tensor) -> torch.Tensor:
        """Return which vectors of ``[n, d]`` are not typical, or not finite, as booleans ``[n]``.

        Args:
            rows: Vectors in float32.
        """
        lengths, largest = _measured(rows)
        typical = lengths.ge(self.shortest) & lengths.le(self.longest) & largest.le(self.largest)
        return typical.logical_not_()


def _measured(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the length and the largest absolute value of each row, ``[n]`` and ``[n]``."""
    return (
        torch.linalg.vector_norm(rows, dim=1),
        torch.linalg.vector_norm(rows, ord=float("inf"), dim=1),
    )


_SKETCH = 24
"""Random directions along which a distance is measured; its error is a seventh."""

_SHRUNK = 0.1
"""Share of the mean variance that is added to the covariance of a sample."""


@dataclass(frozen=True, slots=True)
class TypicalDirections:
    """How far the vectors of a corpus lie from their mean, in units of their spread there.

    A vector of usual length is unlike the others if it points where no other does. Its Mahalanobis
    distance shows it. The distance is measured along a few random directions (Johnson and
    Lindenstrauss, 1984), which costs a hundredth of what a q-net costs.

    Attributes:
        centre: The mean ``[d]``.
        sketch: Directions ``[r, d]``, divided by the spread along them.
        farthest: Greatest distance of a typical vector.
    """

    centre: torch.Tensor
    sketch: torch.Tensor
    farthest: float

    @classmethod
    def of(cls, sample: torch.Tensor) -> TypicalDirections:
        """Find them in a sample ``[m, d]``: the spread in one half, distances in the other.

        Args:
            sample: Finite vectors in float32 and in random order, at least two.
        """
        first, second = sample[::2].double(), sample[1::2]
        centre = first.mean(dim=0)
        centred = first - centre
        spread = centred.t() @ centred / len(first)
        mean_variance = spread.diagonal().mean().clamp_min(torch.finfo(torch.float32).tiny)
        spread.diagonal().add_(_SHRUNK * mean_variance)
        root = torch.linalg.cholesky(spread)
        drawn = torch.Generator().manual_seed(0)
        random = torch.randn(_SKETCH, len(centre), generator=drawn, dtype=torch.float64)
        sketch = torch.linalg.solve_triangular(root, random, upper=False, left=False)
        typical = cls(centre.float(), sketch.float().contiguous(), float("inf"))
        usual = np.quantile(typical._distances(second).numpy(), 1 - _TAIL)
        return cls(typical.centre, typical.sketch, float(usual) * _WIDER)

    def outliers(self, rows: torch.Tensor) -> torch.Tensor:
        """Return which vectors ``[n, d]`` in float32 are not typical, as booleans ``[n]``."""
        return self._distances(rows).le(self.farthest).logical_not_()

    def _distances(self, rows: torch.Tensor) -> torch.Tensor:
        shift = self.sketch @ self.centre
        parts = (self.sketch @ rows.t()).sub_(shift[:, None])
        distances: torch.Tensor = torch.linalg.vector_norm(parts, dim=0)
        return distances
