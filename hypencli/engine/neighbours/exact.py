"""Exact nearest neighbours of all documents of a corpus, by matrix products of blocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import BinaryIO, NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.corpus import VectorSource
from hypencli.engine.neighbours.similarity import Block, Similarity
from hypencli.engine.neighbours.top_neighbours import NO_KEY, Keys, Nearest, Ordinals, nearest_first
from hypencli.engine.workers import workers

_PAIRS_A_THREAD = 8
"""How many pairs of blocks a thread multiplies between two checks of the time."""

_KEPT_BYTES = 1 << 28
"""Memory in bytes for blocks that are read repeatedly."""

_FEWEST_KEPT = 64
_SHARE_OF_PRODUCTS = 0.7
"""Share of the time that products take; selection of the nearest takes the rest."""

_ROWS_PER_BLOCK = 16_384


class Pair(NamedTuple):
    """Two blocks to multiply, or one with itself; ``number`` is the position of the pair."""

    number: int
    a: int
    b: int


class ExactNeighbours:
    """The ``k`` nearest neighbours of every document; each pair of blocks is multiplied once.

    The result does not depend on the number of threads, on the order of the pairs, or on whether a
    build was interrupted and continued: all products have one shape, and the nearest of a row are
    well defined (see :mod:`hypencli.engine.neighbours.top_neighbours`). Memory: 8·k bytes a
    document, and some blocks.

    Args:
        corpus: The vectors.
        similarity: The similarity measure, with its device and dtype.
        k: Neighbours of a document; a corpus of n documents gives at most n - 1.
    """

    def __init__(self, corpus: VectorSource, similarity: Similarity, *, k: int) -> None:
        self._corpus = corpus
        self._similarity = similarity
        self._rows = similarity.block_rows
        self._n_blocks = -(-corpus.n // self._rows)
        self._k = k
        self._keys: Keys
        self._nearest: list[Nearest]
        self._done: npt.NDArray[np.bool_]
        self._begin()
        kept = _KEPT_BYTES // (4 * self._rows * corpus.dim)
        self._block = lru_cache(maxsize=max(kept, _FEWEST_KEPT))(self._read_block)
        self._local = threading.local()

    @property
    def n_pairs(self) -> int:
        """The number of pairs of blocks to multiply."""
        return self._n_blocks * (self._n_blocks + 1) // 2

    @property
    def n_done(self) -> int:
        """The number of pairs multiplied so far."""
        return int(self._done.sum())

    def run(
        self,
        *,
        on_done: Callable[[int], None] | None = None,
        on_pause: Callable[[], None] | None = None,
    ) -> None:
        """Multiply the remaining pairs of blocks.

        Args:
            on_done: Called with the number of pairs just done.
            on_pause: Called between pairs at intervals. It may call :meth:`save`, and may raise
                an exception to end the work.
        """
        todo = self._todo()
        with workers(self._similarity.device) as each:
            while batch := list(islice(todo, each.threads * _PAIRS_A_THREAD)):
                each.map(self._multiply, batch)
                if on_done is not None:
                    on_done(len(batch))
                if on_pause is not None:
                    on_pause()

    def neighbours(self) -> Iterator[Ordinals]:
        """Yield rows [r, k] of neighbour ordinals in order, nearest first, -1 for no neighbour."""
        self._settle()
        for start in range(0, self._corpus.n, _ROWS_PER_BLOCK):
            yield nearest_first(self._keys[start : start + _ROWS_PER_BLOCK])

    def save(self, out: BinaryIO) -> None:
        """Write the state of the build, from which :meth:`load` continues."""
        self._settle()
        np.savez(out, layout=self._layout(), done=np.packbits(self._done), keys=self._keys)

    def load(self, stored: BinaryIO) -> bool:
        """Continue from a state that :meth:`save` wrote.

        Returns:
            Whether the state fits. If it does not, or is damaged, the build starts anew.
        """
        try:
            with np.load(stored, allow_pickle=False) as arrays:
                if np.array_equal(arrays["layout"], self._layout()):
                    del self._keys, self._nearest  # never hold two of them in memory
                    self._keys = arrays["keys"]
                    self._done = np.unpackbits(arrays["done"], count=self.n_pairs).astype(bool)
                    self._nearest = self._kept_by_block()
                    return True
        except (ValueError, KeyError, OSError, EOFError, BadZipFile):
            pass
        self._begin()
        return False

    def _begin(self) -> None:
        self._keys = np.full((self._corpus.n, self._k), NO_KEY)
        self._done = np.zeros(self.n_pairs, dtype=bool)
        self._nearest = self._kept_by_block()

    def _kept_by_block(self) -> list[Nearest]:
        starts = range(0, self._corpus.n, self._rows)
        return [Nearest(self._keys[start : start + self._rows]) for start in starts]

    def _layout(self) -> npt.NDArray[np.int64]:
        return np.array([self._corpus.n, self._k, self._rows, self._corpus.dim])

    def _settle(self) -> None:
        for kept in self._nearest:
            kept.settle()

    def _todo(self) -> Iterator[Pair]:
        number = 0
        for a in range(self._n_blocks):
            for b in range(a, self._n_blocks):
                if not self._done[number]:
                    yield Pair(number, a, b)
                number += 1

    def _read_block(self, index: int) -> Block:
        return read_block(self._corpus, self._similarity, index)

    @torch.inference_mode()
    def _multiply(self, pair: Pair) -> None:
        if not hasattr(self._local, "buffer"):
            self._local.buffer = self._similarity.buffer()
        number, a, b = pair
        similarities = self._similarity.between(self._block(a), self._block(b), self._local.buffer)
        if a == b:
            similarities.fill_diagonal_(-torch.inf)
        self._nearest[a].offer(similarities, b * self._rows)
        if a != b:
            self._nearest[b].offer(similarities.t(), a * self._rows)
        self._done[number] = True


@torch.inference_mode()
def nearest_of(
    ordinals: npt.NDArray[np.int64],
    corpus: VectorSource,
    similarity: Similarity,
    *,
    k: int,
    on_done: Callable[[int], None] | None = None,
) -> Ordinals:
    """Find the exact ``k`` nearest neighbours of some documents of a corpus.

    Args:
        ordinals: Ordinals [s] of the documents.
        corpus: The vectors.
        similarity: The similarity measure, with its device and dtype.
        k: Neighbours of a document.
        on_done: Called with the number of documents just compared with.

    Returns:
        Ordinals [s, k], nearest first, without the document itself; -1 for no neighbour.
    """
    keys: Keys = np.full((len(ordinals), k), NO_KEY)
    rows = similarity.block_rows
    starts = range(0, len(ordinals), rows)
    asked = [similarity.block(corpus.vectors(ordinals[start : start + rows])) for start in starts]
    kept = [Nearest(keys[start : start + rows]) for start in starts]
    for index in range(-(-corpus.n // rows)):
        block, first = read_block(corpus, similarity, index), index * rows
        for start, group, nearest in zip(starts, asked, kept, strict=True):
            similarities = similarity.between(group, block)
            own = ordinals[start : start + rows] - first
            here = np.flatnonzero((own >= 0) & (own < block.n))
            similarities[torch.from_numpy(here), torch.from_numpy(own[here])] = -torch.inf
            nearest.offer(similarities, first)
        if on_done is not None:
            on_done(block.n)
    for nearest in kept:
        nearest.settle()
    return nearest_first(keys)


def estimated_seconds(corpus: VectorSource, similarity: Similarity) -> float:
    """Estimate the time in seconds for all documents, from the time of one pair of blocks."""
    blocks = [read_block(corpus, similarity, index) for index in (0, 1)]
    similarity.between(blocks[0], blocks[1])
    started = time.perf_counter()
    similarity.between(blocks[0], blocks[1]).sum().item()
    pair = (time.perf_counter() - started) / _SHARE_OF_PRODUCTS
    n_blocks = -(-corpus.n // similarity.block_rows)
    return pair * n_blocks * (n_blocks + 1) / 2


def read_block(corpus: VectorSource, similarity: Similarity, index: int) -> Block:
    """Read one block of a corpus, by its number."""
    first = index * similarity.block_rows
    ordinals = np.arange(first, min(first + similarity.block_rows, corpus.n))
    return similarity.block(corpus.vectors(ordinals), first)
