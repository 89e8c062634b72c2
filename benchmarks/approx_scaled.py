"""A larger corpus from a real one: its vectors, and near-copies of them.

A copy is a document's vector with Gaussian noise that has the covariance of the differences between
documents and their ten nearest neighbours, taken from a sample: it is as far from its original as a
neighbour is, in the directions in which neighbours differ. Where all vectors have length 1, copies
have too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.neighbours.exact import nearest_of
from hypencli.engine.neighbours.similarity import Similarity
from hypestore import EmbeddingSet, EmbeddingSpec, Store

SAMPLE, NEAREST = 2_000, 10
ONE_LENGTH = 0.01
"""Lengths that differ from 1 by less are 1: those of vectors normalised before float16 are."""

SHARD_ROWS = 16_384
SEED = 0

Vectors = npt.NDArray[np.float32]


def enlarged(base: EmbeddingSet, folder: Path, n: int) -> tuple[Store, EmbeddingSet]:
    """``n`` documents: the base and its copies, in a store of their own, made when absent."""
    created = (folder / "hype.toml").is_file()
    store = Store.open(folder) if created else Store.create(folder)
    spec = EmbeddingSpec(
        id_prefix=f"near-copies-{n}",
        inputs={"base": base.manifest.id, "n": n, "seed": SEED},
        dim=base.dim,
        shard_rows=SHARD_ROWS,
        keep_text=False,
    )
    with store.embedding_work(spec) as work:
        if work.existing is None:
            copier = Copier(base)
            for shard, start in enumerate(range(0, n, SHARD_ROWS)):
                ids, vectors = copier.documents(start, min(start + SHARD_ROWS, n))
                work.write_shard(shard, ids, vectors)
            work.finish(n, stats={}, provenance={})
    return store, store.embeddings(spec.id)


class Copier:
    """Documents of an endless corpus: the real ones, then copies of all of them, again and again.

    Attributes:
        noise: Turns independent noise ``[n, d]`` into that of a copy, ``[d, d]``.
        one_length: Whether the vectors have length 1.
    """

    def __init__(self, base: EmbeddingSet) -> None:
        self._base = base
        self._vectors = np.concatenate([vectors for _, vectors in base.blocks()])
        lengths = np.linalg.norm(self._vectors.astype(np.float32), axis=1)
        self.one_length = bool(np.abs(lengths - 1).max() < ONE_LENGTH)
        self.noise = self._noise()

    def _noise(self) -> Vectors:
        """A root of the covariance of what separates documents from their neighbours."""
        selected = np.random.default_rng(SEED).choice(
            self._base.n, min(SAMPLE, self._base.n), replace=False
        )
        near = nearest_of(selected, self._base, Similarity("l2", torch.device("cpu")), k=NEAREST)
        apart = self._vectors[near].astype(np.float32) - self._vectors[selected, None]
        apart = apart.reshape(-1, self._base.dim)
        values, directions = np.linalg.eigh(apart.T @ apart / len(apart))
        return directions * np.sqrt(values.clip(min=0))

    def documents(self, start: int, stop: int) -> tuple[list[str], Vectors]:
        """Ids and vectors of the documents from ``start`` to ``stop``."""
        places = np.arange(start, stop)
        originals, copies = places % self._base.n, places // self._base.n
        vectors = self._vectors[originals].astype(np.float32)
        noise = np.random.default_rng((SEED, start)).standard_normal(
            vectors.shape, dtype=np.float32
        )
        vectors += np.where(copies[:, None] > 0, noise @ self.noise.T, 0)
        if self.one_length:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = self._base.ids(originals)
        return [f"{i}+{c}" if c else i for i, c in zip(ids, copies.tolist(), strict=True)], vectors
