"""Simulated corpora and q-nets: from almost linear to far from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.scorers import QNet

Vectors = npt.NDArray[np.float32]

LAYERS = 6
TRAINED_STEPS, TRAINED_BATCH, TRAINED_RATE = 200, 256, 3e-3
SPREAD = 0.5
"""How far a document lies from the middle of its cluster."""


def simulated_corpus(n: int, dim: int, seed: int) -> Vectors:
    """Clusters of unequal sizes on the sphere; the parts of a vector fall off as 1 / sqrt(i)."""
    drawn = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(1 + np.arange(dim))
    centres = drawn.standard_normal((max(2, n // 200), dim)) * spectrum
    shares = drawn.dirichlet(np.full(len(centres), 0.5))
    of_cluster = drawn.choice(len(centres), n, p=shares)
    vectors = centres[of_cluster] + SPREAD * drawn.standard_normal((n, dim)) * spectrum
    vectors += 0.3 * spectrum  # like those of an encoder, the mean vector is not 0
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Net:
    """A q-net that is given as a function of vectors ``[n, d]``."""

    def __init__(self, dim: int, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.dim = dim
        self._function = function

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Scores ``[1, n, 1]`` of vectors ``[1, n, d]``."""
        return self._function(vectors[0])[None, :, None]


def squared(vectors: Vectors, count: int, seed: int) -> list[QNet]:
    """A linear function and a squared one; the second varies .1 to 1.5 times as much."""
    return [Net(vectors.shape[1], each) for each in _targets(vectors, count, seed)]


def near_linear(vectors: Vectors, count: int, seed: int) -> list[QNet]:
    """A linear function and a layer of 32, which varies .05 to .3 times as much."""
    drawn = np.random.default_rng((seed, 1))
    nets: list[QNet] = []
    for _ in range(count):
        linear = _direction(vectors, drawn)
        inner = torch.from_numpy(drawn.standard_normal((vectors.shape[1], 32)).astype(np.float32))
        bias = torch.from_numpy(drawn.standard_normal(32).astype(np.float32) * 0.3)
        outer = torch.from_numpy(drawn.standard_normal(32).astype(np.float32))
        sample = torch.from_numpy(vectors[:2_000])
        share = float(drawn.uniform(0.05, 0.3)) / float(
            (torch.relu(sample @ inner + bias) @ outer).std()
        )

        def score(
            x: torch.Tensor,
            linear: torch.Tensor = linear,
            inner: torch.Tensor = inner,
            bias: torch.Tensor = bias,
            outer: torch.Tensor = outer * share,
        ) -> torch.Tensor:
            return x @ linear + torch.relu(x @ inner + bias) @ outer

        nets.append(Net(vectors.shape[1], score))
    return nets


def random_six(vectors: Vectors, count: int, seed: int) -> list[QNet]:
    """Six layers of noise, not trained."""
    weights = _six_layers(vectors.shape[1], count, seed)
    return [_six_layer_net(weights, query) for query in range(count)]


def trained_six(vectors: Vectors, count: int, seed: int) -> list[QNet]:
    """Six layers of noise, trained to scores of the family ``squared``."""
    weights = _six_layers(vectors.shape[1], count, seed)
    _train(
        weights,
        lambda batch: _apply(weights, batch.expand(count, -1, -1)),
        vectors,
        _targets(vectors, count, seed),
        seed,
    )
    return [_six_layer_net([each.detach() for each in weights], query) for query in range(count)]


def published_six(
    vectors: Vectors, count: int, seed: int, shares: tuple[float, float]
) -> list[QNet]:
    """Q-nets of the published architecture, six layers, trained to scores as of ``squared``.

    Args:
        vectors: Documents ``[n, d]``.
        count: How many.
        seed: Of the targets and the first weights.
        shares: How much less or more than the linear function the squared one varies.
    """
    from hypencli.models.qnets.batch import QNetBatch
    from hypencli.models.qnets.repeated_dense import RepeatedDenseBlockConverter

    dim = vectors.shape[1]
    converter = RepeatedDenseBlockConverter([dim] * (LAYERS + 1) + [1])
    generator = torch.Generator().manual_seed(seed)
    matrices = tuple(
        torch.randn(count, *shape, generator=generator) / shape[0] ** 0.5
        for shape in converter.weight_shapes
    )
    biases = tuple(torch.zeros(count, *shape) for shape in converter.bias_shapes)
    q_nets = QNetBatch(matrices, biases, converter)
    _train(
        [*matrices, *biases], q_nets.score, vectors, _targets(vectors, count, seed, shares), seed
    )
    done = q_nets.detach()
    return [done[query] for query in range(count)]


FAMILIES: Mapping[str, Callable[[Vectors, int, int], Sequence[QNet]]] = {
    "near-linear": near_linear,
    "squared": squared,
    "six-layer": trained_six,
    "random": random_six,
}


def _direction(vectors: Vectors, drawn: np.random.Generator) -> torch.Tensor:
    """A document less the mean, scaled so that the inner product with it varies by 1."""
    direction = vectors[drawn.integers(len(vectors))] - vectors.mean(axis=0)
    return torch.from_numpy(direction / float((vectors[:2_000] @ direction).std()))


def _targets(
    vectors: Vectors, count: int, seed: int, shares: tuple[float, float] = (0.1, 1.5)
) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    drawn = np.random.default_rng((seed, 0))
    targets = []
    for _ in range(count):
        linear, other = _direction(vectors, drawn), _direction(vectors, drawn)
        share = float(drawn.uniform(*shares)) / float(
            (torch.from_numpy(vectors[:2_000]) @ other).square().std()
        )

        def target(
            x: torch.Tensor,
            linear: torch.Tensor = linear,
            other: torch.Tensor = other,
            share: float = share,
        ) -> torch.Tensor:
            return x @ linear + share * (x @ other).square()

        targets.append(target)
    return targets


def _train(
    weights: Sequence[torch.Tensor],
    score: Callable[[torch.Tensor], torch.Tensor],
    vectors: Vectors,
    targets: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    seed: int,
) -> None:
    """Train weights in place until ``score`` gives what the targets give."""
    for tensor in weights:
        tensor.requires_grad_()
    optimiser = torch.optim.Adam(weights, lr=TRAINED_RATE)
    drawn = np.random.default_rng((seed, 2))
    for step in range(TRAINED_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = TRAINED_RATE * (1 - step / TRAINED_STEPS)
        batch = torch.from_numpy(vectors[drawn.choice(len(vectors), TRAINED_BATCH, replace=False)])
        wanted = torch.stack([target(batch) for target in targets])
        loss = (score(batch) - wanted).square().mean(dim=1).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _six_layers(dim: int, count: int, seed: int) -> list[torch.Tensor]:
    """Weights ``[q, d, d]`` and biases ``[q, 1, d]`` of six layers; the last one, ``[q, d, 1]``."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=generator)

    weights = []
    for _ in range(LAYERS):
        weights += [noise(dim, dim) * (2 / dim) ** 0.5, noise(1, dim) * 0.3]
    return [*weights, noise(dim, 1) / dim**0.5]


def _apply(weights: Sequence[torch.Tensor], vectors: torch.Tensor) -> torch.Tensor:
    """Scores ``[q, n]`` of vectors ``[q, n, d]``: linear, ReLU, normalisation, six times."""
    dim = vectors.shape[-1]
    actual = vectors * dim**0.5
    for layer in range(LAYERS):
        inner = torch.relu(torch.baddbmm(weights[2 * layer + 1], actual, weights[2 * layer]))
        actual = torch.nn.functional.layer_norm(inner, (dim,))
    return (actual @ weights[-1])[..., 0]


def _six_layer_net(weights: Sequence[torch.Tensor], query: int) -> Net:
    own = [each[query : query + 1].contiguous() for each in weights]
    return Net(own[0].shape[-1], lambda vectors: _apply(own, vectors[None])[0])
