"""Vectors to find neighbours among."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest


class InMemory:
    """Vectors [n, d] as an embedding set gives them: in blocks of ``block_rows``, or some."""

    def __init__(self, vectors: np.ndarray, block_rows: int = 100) -> None:
        self._vectors = vectors
        self._block_rows = block_rows
        self.n, self.dim = vectors.shape

    def blocks(self) -> Iterable[tuple[int, np.ndarray]]:
        for first in range(0, self.n, self._block_rows):
            yield first, self._vectors[first : first + self._block_rows]

    def vectors(self, ordinals: np.ndarray, /) -> np.ndarray:
        return self._vectors[ordinals]


@pytest.fixture(scope="session")
def in_memory() -> type[InMemory]:
    return InMemory


def clustered(n: int, dim: int, *, clusters: int = 12, seed: int = 0) -> np.ndarray:
    """Vectors around a few centres, in the order of chance, of different lengths."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(0, 1, (clusters, dim))
    around = generator.normal(0, 0.3, (n, dim))
    return (centres[generator.integers(clusters, size=n)] + around).astype(np.float32)


@pytest.fixture(scope="session")
def vectors() -> Any:
    return clustered
