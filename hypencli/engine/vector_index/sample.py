"""Random documents that are kept with a vector index, and the recall that is measured with them.

A search that reads no corpus takes its view of the corpus from the sample: its centre, and how many
documents lie where. The recall is that of inner products with vectors of documents less their mean,
against all inner products; it says how much of an index to read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.vector_index.library import Vectors
from hypencli.errors import ModelError

if TYPE_CHECKING:
    import torch

DEPTHS = (100, 1_000)
"""Depths at which the recall is measured."""

_ORDINALS, _VECTORS, _RECALL = "sample-ordinals.npy", "sample-vectors.npy", "recall.json"
_QUERIES = 32
_EFFORTS = (1, 2, 4, 8, 16)
_ENOUGH = 0.995
"""A recall beyond which no larger effort is measured."""

_LEAST, _FACTOR = 4_096, 32
_SEED = 20


class _Searchable(Protocol):
    def search(self, queries: Vectors, k: int, effort: int = 1) -> tuple[Ordinals, Scores]: ...


@dataclass(frozen=True, slots=True)
class IndexSample:
    """Random documents of an indexed corpus, and the recall of the index.

    Attributes:
        ordinals: The documents ``[m]``, rising.
        vectors: Their vectors ``[m, d]``.
        recall: Effort -> depth -> mean recall over some queries, from 0 to 1.
    """

    ordinals: Ordinals
    vectors: npt.NDArray[np.generic]
    recall: Mapping[int, Mapping[int, float]]

    @classmethod
    def draw(cls, rows: Callable[[Ordinals], npt.NDArray[np.generic]], n: int) -> IndexSample:
        """Draw 32 √n documents, at least 4,096, or all of a smaller corpus."""
        size = min(n, max(_LEAST, round(_FACTOR * math.sqrt(n))))
        ordinals = np.sort(np.random.default_rng(_SEED).choice(n, size, replace=False))
        return cls(ordinals, rows(ordinals), {})

    def measured(
        self, index: _Searchable, blocks: Iterable[tuple[int, npt.NDArray[np.generic]]], n: int
    ) -> IndexSample:
        """Return the sample with the recall of an index, by one pass over the corpus."""
        vectors = self.vectors.astype(np.float32)
        places = np.linspace(0, len(vectors) - 1, min(_QUERIES, len(vectors))).astype(int)
        queries = vectors[places] - vectors.mean(axis=0)
        depths = sorted({min(depth, n) for depth in DEPTHS})
        best = _best(queries, blocks, depths[-1])
        recall: dict[int, dict[int, float]] = {}
        for effort in _EFFORTS:
            recall[effort] = {k: _share(index.search(queries, k, effort)[0], best) for k in depths}
            if min(recall[effort].values()) >= _ENOUGH:
                break
        return IndexSample(self.ordinals, self.vectors, recall)

    def effort(self, recall: float) -> int:
        """Return the least measured effort with this recall at every depth, or the largest."""
        for effort, measured in sorted(self.recall.items()):
            if min(measured.values()) >= recall:
                return effort
        return max(self.recall, default=1)

    def write(self, folder: Path) -> None:
        """Write the sample into the folder of an index.

        Raises:
            OSError: A file cannot be written.
        """
        np.save(folder / _ORDINALS, self.ordinals)
        np.save(folder / _VECTORS, self.vectors)
        (folder / _RECALL).write_text(json.dumps(self.recall) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> IndexSample | None:
        """Read the sample of an index; None if the index has none.

        Raises:
            ModelError: A file is damaged.
        """
        if not (folder / _RECALL).exists():
            return None
        try:
            ordinals = np.load(folder / _ORDINALS, allow_pickle=False)
            vectors = np.load(folder / _VECTORS, allow_pickle=False, mmap_mode="r")
            if ordinals.ndim != 1 or vectors.ndim != 2 or len(ordinals) != len(vectors):
                raise ValueError(f"shapes {ordinals.shape} and {vectors.shape}")
            recall = recall_of(folder)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelError(f"The sample of the index in {folder} is damaged: {error}.") from error
        return cls(ordinals, vectors, recall)


def recall_of(folder: Path) -> dict[int, dict[int, float]]:
    """Read the recall that was measured for an index: effort -> depth -> recall.

    Raises:
        OSError: The index has none.
        ValueError: The file is damaged.
    """
    kept = json.loads((folder / _RECALL).read_text(encoding="utf-8"))
    return {
        int(effort): {int(depth): float(value) for depth, value in by_depth.items()}
        for effort, by_depth in kept.items()
    }


def _best(
    queries: Vectors, blocks: Iterable[tuple[int, npt.NDArray[np.generic]]], k: int
) -> list[Ordinals]:
    """Return the ``k`` documents with the largest inner products, best first, for each query."""
    import torch

    asked = torch.from_numpy(queries)
    scores = torch.empty((len(queries), 0))
    ordinals = torch.empty((len(queries), 0), dtype=torch.int64)
    for first, block in blocks:
        for start in range(0, len(block), _LEAST):
            piece = torch.from_numpy(block[start : start + _LEAST].astype(np.float32))
            new = torch.arange(first + start, first + start + len(piece)).expand(len(asked), -1)
            scores = torch.cat([scores, asked @ piece.t()], dim=1)
            ordinals = torch.cat([ordinals, new], dim=1)
            if scores.shape[1] > 2 * k + 4 * _LEAST:
                scores, ordinals = _kept(scores, ordinals, k)
    _, ordinals = _kept(scores, ordinals, k)
    return list(ordinals.numpy())


def _kept(
    scores: torch.Tensor, ordinals: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    values, places = scores.topk(min(k, scores.shape[1]), dim=1)
    return values, ordinals.gather(1, places)


def _share(found: Ordinals, best: list[Ordinals]) -> float:
    """Return the mean share of the best ``k`` documents among the ``k`` that were found."""
    k = found.shape[1]
    return float(
        np.mean([np.isin(each[:k], row).mean() for row, each in zip(found, best, strict=True)])
    )
