"""The recall of a neighbour graph, measured on a sample of documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hypencli.progress import Progress
from hypestore import EmbeddingSet

if TYPE_CHECKING:
    import torch

    from hypencli.engine.neighbours.similarity import Metric
    from hypencli.engine.neighbours.top_neighbours import Ordinals

SAMPLE_DOCUMENTS = 1000
"""Size of the sample."""


class NeighbourSample:
    """A random sample of documents whose neighbours are compared with the exact ones.

    Args:
        n: Number of documents.
        k: Neighbours per document.
        seed: Seed of the sample.
    """

    def __init__(self, n: int, *, k: int, seed: int) -> None:
        import numpy as np

        places = np.random.default_rng(seed).choice(n, min(n, SAMPLE_DOCUMENTS), replace=False)
        self._ordinals = np.sort(places)
        self._k, self._seed = k, seed
        self._rows: list[Ordinals] = []

    def watch(self, blocks: Iterable[Ordinals]) -> Iterator[Ordinals]:
        """Yield blocks of rows ``[r, k]`` unchanged, and keep the rows of the sample."""
        first = 0
        for block in blocks:
            own = self._ordinals - first
            self._rows.append(block[own[(own >= 0) & (own < len(block))]])
            first += len(block)
            yield block

    def recall(
        self, corpus: EmbeddingSet, metric: Metric, device: torch.device, progress: Progress
    ) -> dict[str, float | int]:
        """Measure the recall. Returns ``value`` (0 to 1), ``k``, ``sample`` and ``seed``."""
        import numpy as np

        from hypencli.engine.neighbours.exact import nearest_of
        from hypencli.engine.neighbours.libraries import recall
        from hypencli.engine.neighbours.similarity import Similarity

        similarity = Similarity(metric, device)
        with progress.task("recall", total=corpus.n, unit="documents") as task:
            exact = nearest_of(self._ordinals, corpus, similarity, k=self._k, on_done=task.advance)
        return {
            "value": recall(np.concatenate(self._rows), exact),
            "k": self._k,
            "sample": len(self._ordinals),
            "seed": self._seed,
        }
