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

_ROWS = 8
"""Rows of a matrix product of a pass: linear surrogates, or the weights and directions of one."""


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
    def rows(self) -> torch.Tensor:
        """The linear weights, the directions, and zeros: ``[8, d]``."""
        directions = self.curve.directions.t()
        rows = torch.cat([self.weights[None, : directions.shape[1]], directions])
        return torch.nn.functional.pad(rows, (0, 0, 0, _ROWS - len(rows)))

    @property
    def form(self) -> torch.Tensor:
        """The matrix ``[8, 8]`` of the products of what ``rows`` give."""
        matrix = torch.zeros(_ROWS, _ROWS)
        first, second = self.curve.pairs
        matrix[first + 1, second + 1] = (
            self.weights[len(self.curve.directions) :] * self.curve.scale
        )
        return matrix

    def expected(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return what scores of vectors ``[n, d]`` are expected, up to a constant: ``[n]``."""
        return _second_order(self.rows @ vectors.t(), self.form)

    def tangents(self, points: torch.Tensor, most: int, close: float) -> torch.Tensor:
        """Return linear functions ``[t, d]`` that touch the surrogate near some documents.

        An index finds the largest inner products, so it is asked for those with the gradients of
        the surrogate at a few documents. Further documents are taken, the farthest from those
        before, until each is ``close`` to one: its tangent errs by no more than that.

        Args:
            points: Vectors ``[m, d]`` of the documents.
            most: The largest number of functions.
            close: The error, in scores, that does not matter.
        """
        parts = self.rows[1:] @ points.t()
        bend = self.form[1:, 1:] + self.form[1:, 1:].t()
        chosen = [int(self.expected(points).argmax())]
        errors = torch.full((len(points),), torch.inf)
        while len(chosen) < most:
            away = parts - parts[:, chosen[-1] : chosen[-1] + 1]
            errors = torch.minimum(errors, ((bend @ away) * away).sum(dim=0).abs() / 2)
            if errors.max() <= close:
                break
            chosen.append(int(errors.argmax()))
        return (
            self.weights[: len(self.curve.directions)]
            + (bend @ parts[:, chosen]).t() @ (self.rows[1:])
        )

    def fitted(self, vectors: torch.Tensor, scores: torch.Tensor, ridge: float) -> Surrogate:
        """Return the surrogate fitted to the scores ``[m]`` of vectors ``[m, d]``."""
        parts = (vectors @ self.curve.directions).t().contiguous()
        first, second = self.curve.pairs
        products = (self.curve.scale * parts[first] * parts[second]).t()
        features = torch.cat([vectors, products], dim=1)
        return replace(self, weights=fit(self.weights, features, scores, ridge))


class LinearScorer:
    """A scorer with linear surrogates, for a pass over a corpus.

    Products are ``[8, d] x [d, n]``. Such a product takes half the time of one of 32 queries, so a
    single query takes half the time that it takes with the scorer of a bi-encoder, and many queries
    take about the same. Its shape is fixed, so scores do not depend on the other queries.

    Args:
        weights: Weights ``[q, d]``, one row a query.
    """

    def __init__(self, weights: torch.Tensor) -> None:
        self.n_queries, self.dim = weights.shape
        padded = torch.nn.functional.pad(weights, (0, 0, 0, -self.n_queries % _ROWS))
        self._groups = torch.split(padded, _ROWS)

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return scores ``[q, n]`` of document vectors ``[n, d]``."""
        turned = vectors.t()
        return torch.cat([group @ turned for group in self._groups])[: self.n_queries]

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> LinearScorer:
        """Return this scorer: it is prepared."""
        return self


class SurrogateScorer:
    """A scorer with one surrogate a query, for a pass over a corpus.

    Every matrix product has one fixed shape, so scores do not depend on the other queries.

    Args:
        surrogates: One surrogate a query.
        device: The device that scores.
    """

    def __init__(self, surrogates: Sequence[Surrogate], device: torch.device) -> None:
        self.n_queries = len(surrogates)
        self._pairs = [(each.rows.to(device), each.form.to(device)) for each in surrogates]
        self.dim = int(self._pairs[0][0].shape[1])

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return scores ``[q, n]`` of document vectors ``[n, d]``."""
        turned = vectors.t()
        return torch.stack([_second_order(rows @ turned, form) for rows, form in self._pairs])

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> SurrogateScorer:
        """Return this scorer: it is prepared."""
        return self


def _second_order(parts: torch.Tensor, form: torch.Tensor) -> torch.Tensor:
    """Return values ``[n]`` from the parts ``[8, n]`` of vectors and the form ``[8, 8]``."""
    return parts[0] + ((form @ parts) * parts).sum(dim=0)


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
