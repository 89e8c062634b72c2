"""Surrogates of a scorer: functions that are cheap, and close to its scores near the best ones.

A surrogate is linear in the document vector, or *curved*: then products of the vector's parts along
a few directions are added to it. The directions are those in which the gradient of the scorer
changes most (active subspaces: Constantine, Dow and Wang, 2014), so they hold most of what a linear
function cannot express.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.scorers import InnerProductScorer, PassScorer
from hypencli.engine.workers import ALONE, Workers

_FIT_STEPS, _FIT_TOLERANCE = 12, 1e-4
_LEAST_SCALE = 0.5
"""The least factor by which a fit scales the former weights. A fit to the few scored documents must
not reverse the surrogate: with a 6-layer q-net trained from random weights, one query then missed
all of its ten best documents."""

_DIRECTIONS = 6
"""Directions of a curved surrogate, whose products are 21 features."""

_LEAST_INNER = 1e-3
"""What is added to the squares of the parts, as a share of them, to solve for the products."""

_COLUMNS = 8
"""Columns of the matrix of a curved surrogate in a pass; it is fixed, so that the sums are."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The directions of a curved surrogate.

    Attributes:
        directions: Orthogonal directions ``[d, r]``, scaled so that parts vary by about 1.
        centre: The parts ``[r]`` of the mean vector.
        scale: A factor of the products; they then vary as much as the vectors do.
    """

    directions: torch.Tensor
    centre: torch.Tensor
    scale: float

    def products(self, parts: torch.Tensor) -> torch.Tensor:
        """Return the products ``[n, r (r + 1) / 2]`` of the parts ``[n, r]`` of vectors."""
        parts = parts - self.centre
        first, second = torch.triu_indices(parts.shape[1], parts.shape[1])
        return self.scale * parts[:, first] * parts[:, second]


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A surrogate of the scorer of one query.

    Attributes:
        weights: Weights ``[d]`` of the vector, and then those of the products.
        curve: The directions of the products; None for a linear surrogate.
    """

    weights: torch.Tensor
    curve: Curve | None = None

    @classmethod
    def curved(
        cls, gradients: torch.Tensor, vectors: torch.Tensor, typical: torch.Tensor
    ) -> Surrogate:
        """Return the function of second order whose gradients are nearest to some gradients.

        Args:
            gradients: Gradients ``[m, d]`` of the scorer.
            vectors: The vectors ``[m, d]`` at which they were taken.
            typical: Vectors ``[n, d]`` that set the scale of the products.
        """
        weights = gradients.mean(dim=0)
        changes = gradients - weights
        _, _, along = torch.linalg.svd(changes, full_matrices=False)
        directions = along[:_DIRECTIONS].t()
        deviations = (typical @ directions).std(dim=0, correction=0)
        deviations = deviations.clamp_min(torch.finfo(deviations.dtype).tiny)
        scaled = (directions / deviations).contiguous()
        first, second = torch.triu_indices(scaled.shape[1], scaled.shape[1])
        scale = float((typical.var(dim=0, correction=0).sum() / max(1, len(first))).sqrt())
        curve = Curve(scaled, (typical @ scaled).mean(dim=0), scale)
        parts = vectors @ scaled - curve.centre
        # A gradient changes by ``bends @ parts`` along the directions, in units of the parts.
        wanted = (changes @ directions) * deviations
        inner = parts.t() @ parts + _LEAST_INNER * len(parts) * torch.eye(parts.shape[1])
        bends = torch.linalg.solve(inner, parts.t() @ wanted)
        bends = (bends + bends.t()) / 2
        halved = torch.where(first == second, 0.5, 1.0)
        products = bends[first, second] * halved / max(scale, float(np.finfo(np.float32).tiny))
        return cls(torch.cat([weights, products]), curve)

    @property
    def linear(self) -> Surrogate:
        """The linear part of this surrogate."""
        d = len(self.weights) if self.curve is None else len(self.curve.directions)
        return Surrogate(self.weights[:d])

    def features(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return what the weights are applied to: ``[n, f]`` for vectors ``[n, d]``."""
        if self.curve is None:
            return vectors
        products = self.curve.products(vectors @ self.curve.directions)
        return torch.cat([vectors, products], dim=1)

    def fitted(self, features: torch.Tensor, scores: torch.Tensor, ridge: float) -> Surrogate:
        """Return the surrogate fitted to the scores ``[m]`` of features ``[m, f]``."""
        return replace(self, weights=fit(self.weights, features, scores, ridge))


class CurvedScorer:
    """A scorer with one curved surrogate a query, for a pass over a corpus.

    Every matrix product has one fixed shape, so scores do not depend on the other queries.

    Args:
        surrogates: One curved surrogate a query.
        device: The device that scores.
    """

    def __init__(self, surrogates: Sequence[Surrogate], device: torch.device) -> None:
        self._queries: list[tuple[torch.Tensor, torch.Tensor, Curve]] = []
        for surrogate in surrogates:
            curve = surrogate.curve
            if curve is None:
                raise ValueError("a surrogate of a curved scorer is linear")
            self.dim = len(curve.directions)
            linear, tail = surrogate.weights[: self.dim], surrogate.weights[self.dim :]
            columns = torch.cat([linear[:, None], curve.directions], dim=1)
            padded = torch.nn.functional.pad(columns, (0, -columns.shape[1] % _COLUMNS))
            moved = replace(curve, centre=curve.centre.to(device))
            self._queries.append((padded.to(device), tail.to(device), moved))

    @property
    def n_queries(self) -> int:
        """The number of queries, ``q``."""
        return len(self._queries)

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return scores ``[q, n]`` of document vectors ``[n, d]``."""
        rows = []
        for columns, tail, curve in self._queries:
            parts = vectors @ columns
            products = curve.products(parts[:, 1 : 1 + len(curve.centre)])
            rows.append(parts[:, 0] + products @ tail)
        return torch.stack(rows)

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> CurvedScorer:
        """Return this scorer: it is prepared."""
        return self


def pass_scorer(surrogates: Sequence[Surrogate], device: torch.device) -> PassScorer:
    """Return a scorer with these surrogates, which are all linear or all curved."""
    if any(surrogate.curve is not None for surrogate in surrogates):
        return CurvedScorer(surrogates, device)
    return InnerProductScorer(torch.stack([each.weights for each in surrogates]).to(device))


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
