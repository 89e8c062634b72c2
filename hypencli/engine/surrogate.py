"""Surrogates of a scorer: functions that are cheap, and close to its scores near the best ones.

A linear surrogate is a vector of weights (``fit``). A :class:`Surrogate` also has products of the
vector's parts along a few directions: those in which the gradient of the scorer changes most
(active subspaces: Constantine, Dow and Wang, 2014). They hold most of what a linear function cannot
express.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.workers import ALONE, Workers

_FIT_STEPS, _FIT_TOLERANCE = 12, 1e-4
_LEAST_SCALE = 0.5
"""The least factor by which a fit scales the former weights. A fit to the few scored documents must
not reverse the surrogate: with a 6-layer q-net trained from random weights, one query then missed
all of its ten best documents."""

_DIRECTIONS = 6
"""Directions of a surrogate, whose products are 21 features."""

_LEAST_INNER = 1e-3
"""What is added to the squares of the parts, as a share of them, to solve for the products."""

_COLUMNS, _QUERIES = 8, 4
"""Columns of a surrogate, and surrogates in one matrix product of a pass. Both are fixed, so
that scores do not depend on the other queries."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The directions of a surrogate.

    Attributes:
        directions: Orthogonal directions ``[d, r]``, scaled so that parts vary by about 1.
        scale: A factor of the products; they then vary as much as the vectors do.
    """

    directions: torch.Tensor
    scale: float

    @property
    def pairs(self) -> torch.Tensor:
        """The two directions ``[2, r (r + 1) / 2]`` of each product."""
        r = self.directions.shape[1]
        return torch.triu_indices(r, r)


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A surrogate of the scorer of one query: a function of second order.

    Attributes:
        weights: Weights ``[d]`` of the vector, and then those of the products.
        curve: The directions of the products.
    """

    weights: torch.Tensor
    curve: Curve

    @classmethod
    def of(cls, gradients: torch.Tensor, vectors: torch.Tensor, spread: torch.Tensor) -> Surrogate:
        """Return the function of second order whose gradients are nearest to some gradients.

        Args:
            gradients: Gradients ``[m, d]`` of the scorer.
            vectors: The vectors ``[m, d]`` at which they were taken.
            spread: The covariance ``[d, d]`` of the documents, which sets the scale of products.
        """
        mean = gradients.mean(dim=0)
        changes = gradients - mean
        _, _, along = torch.linalg.svd(changes, full_matrices=False)
        directions = along[:_DIRECTIONS].t()
        tiny = torch.finfo(directions.dtype).tiny
        deviations = ((spread @ directions) * directions).sum(dim=0).clamp_min(tiny).sqrt()
        scaled = (directions / deviations).contiguous()
        centre = vectors.mean(dim=0) @ scaled
        parts = vectors @ scaled - centre
        # Along the directions, in units of the parts, a gradient changes by ``parts @ bends``.
        wanted = (changes @ directions) * deviations
        inner = parts.t() @ parts + _LEAST_INNER * len(parts) * torch.eye(parts.shape[1])
        bends = torch.linalg.solve(inner, parts.t() @ wanted)
        bends = (bends + bends.t()) / 2
        first, second = torch.triu_indices(len(bends), len(bends))
        scale = float((spread.trace() / max(1, len(first))).clamp_min(tiny).sqrt())
        products = bends[first, second] * torch.where(first == second, 0.5, 1.0) / scale
        linear = mean - scaled @ (bends @ centre)  # the products are not of centred parts
        return cls(torch.cat([linear, products]), Curve(scaled, scale))

    @property
    def columns(self) -> torch.Tensor:
        """The linear weights, the directions, and zeros: ``[d, 8]``."""
        directions = self.curve.directions
        columns = torch.cat([self.weights[: len(directions), None], directions], dim=1)
        return torch.nn.functional.pad(columns, (0, _COLUMNS - columns.shape[1]))

    @property
    def form(self) -> torch.Tensor:
        """The matrix ``[8, 8]`` of the products of what ``columns`` give."""
        matrix = torch.zeros(_COLUMNS, _COLUMNS)
        first, second = self.curve.pairs
        matrix[first + 1, second + 1] = (
            self.weights[len(self.curve.directions) :] * self.curve.scale
        )
        return matrix

    def expected(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return what scores of vectors ``[n, d]`` are expected, up to a constant: ``[n]``."""
        parts = vectors @ self.columns
        return parts[:, 0] + ((parts @ self.form) * parts).sum(dim=1)

    def fitted(self, vectors: torch.Tensor, scores: torch.Tensor, ridge: float) -> Surrogate:
        """Return the surrogate fitted to the scores ``[m]`` of vectors ``[m, d]``."""
        parts = (vectors @ self.curve.directions).t().contiguous()
        first, second = self.curve.pairs
        products = (self.curve.scale * parts[first] * parts[second]).t()
        features = torch.cat([vectors, products], dim=1)
        return replace(self, weights=fit(self.weights, features, scores, ridge))


class SurrogateScorer:
    """A scorer with one surrogate a query, for a pass over a corpus.

    Every matrix product has one fixed shape, so scores do not depend on the other queries.

    Args:
        surrogates: One surrogate a query.
        device: The device that scores.
    """

    def __init__(self, surrogates: Sequence[Surrogate], device: torch.device) -> None:
        self._n_queries = len(surrogates)
        self.dim = len(surrogates[0].columns)
        empty = -len(surrogates) % _QUERIES
        columns = torch.stack([each.columns for each in surrogates], dim=1)  # [d, q, 8]
        columns = torch.nn.functional.pad(columns, (0, 0, 0, empty))
        forms = torch.stack([each.form for each in surrogates])
        forms = torch.nn.functional.pad(forms, (0, 0, 0, 0, 0, empty))
        self._groups = [
            (of_group.flatten(1).contiguous().to(device), form.to(device))
            for of_group, form in zip(
                columns.split(_QUERIES, dim=1), forms.split(_QUERIES), strict=True
            )
        ]

    @property
    def n_queries(self) -> int:
        """The number of queries, ``q``."""
        return self._n_queries

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return scores ``[q, n]`` of document vectors ``[n, d]``."""
        rows = []
        for columns, forms in self._groups:
            parts = (vectors @ columns).view(len(vectors), _QUERIES, _COLUMNS).transpose(0, 1)
            parts = parts.contiguous()
            rows.append(parts[:, :, 0] + (torch.bmm(parts, forms) * parts).sum(dim=2))
        return torch.cat(rows)[: self._n_queries]

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> SurrogateScorer:
        """Return this scorer: it is prepared."""
        return self


@torch.no_grad()
def fit(
    weights: torch.Tensor, vectors: torch.Tensor, scores: torch.Tensor, ridge: float
) -> torch.Tensor:
    """Fit weights ``[d]`` of a linear surrogate to the scores of vectors.

    This is ridge regression of scores ``[m]`` on vectors ``[m, d]``, both centred. It is pulled
    towards the former ``weights`` ``[d]``, scaled by the factor that fits best, which is at least a
    half. A few steps of conjugate gradients (Hestenes and Stiefel, 1952) solve it, since a
    surrogate need not be exact.
    """
    centred, target = vectors - vectors.mean(dim=0), scores - scores.mean()
    along = centred @ weights
    tiny = torch.finfo(along.dtype).tiny
    scale = ((along @ target) / (along @ along).clamp_min(tiny)).clamp_min(_LEAST_SCALE)
    penalty = ridge * centred.square().sum() / len(centred)
    residual = (target - scale * along) @ centred
    solution, direction, size = torch.zeros_like(weights), residual, residual @ residual
    enough = _FIT_TOLERANCE * size
    for _ in range(_FIT_STEPS):
        if size <= enough:
            break
        image = (centred @ direction) @ centred + penalty * direction
        step = size / (direction @ image).clamp_min(tiny)
        solution = solution + step * direction
        residual = residual - step * image
        smaller = residual @ residual
        direction, size = residual + smaller / size * direction, smaller
    return scale * weights + solution


def evenly_spaced(scores: Scores, m: int) -> Ordinals:
    """Return positions of ``m`` scores: half the best ones, half evenly from best to worst."""
    order = np.argsort(-scores, kind="stable")
    if len(order) <= m:
        return order
    best, others = order[: m // 2], order[m // 2 :]
    return np.concatenate([best, others[np.linspace(0, len(others) - 1, m - m // 2).astype(int)]])
