"""Selection of the k nearest of many documents from a stream of similarities to other blocks.

A document and its similarity are one number, a *key* (int64): the similarity in the upper half,
so that a larger key is nearer, and the ordinal in the lower half, so that of equally near
documents the lower ordinal has the larger key. No two keys of a row are equal: the k largest of a
row are well defined in any order of arrival, and take 8 bytes a neighbour.
"""

from __future__ import annotations

import threading
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

Keys: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float32]
Ordinals: TypeAlias = npt.NDArray[np.int32]

NO_NEIGHBOUR = -1
NO_KEY = np.iinfo(np.int64).min
"""A key smaller than that of every document."""

_LOW_HALF = np.int64(0xFFFFFFFF)
_ORDER = np.int32(0x7FFFFFFF)
_MOST_WAITING = 64


def to_keys(similarities: Floats, ordinals: Rows) -> Keys:
    """Return the keys of documents with these similarities and ordinals, in their shape."""
    # Zero has two representations; adding 0.0 leaves the positive one.
    bits = (similarities + np.float32(0.0)).view(np.int32)
    # Read as integers, negative floats are in reverse order: invert their lower 31 bits.
    ordered = bits ^ ((bits >> 31) & _ORDER)
    keys: Keys = (ordered.astype(np.int64) << 32) | (_LOW_HALF - ordinals)
    return keys


def similarities_of(keys: Keys) -> Floats:
    """Return the similarities in keys, in their shape; minus infinity for ``NO_KEY``."""
    ordered = (keys >> 32).astype(np.int32)
    bits = ordered ^ ((ordered >> 31) & _ORDER)
    return np.where(keys == NO_KEY, np.float32(-np.inf), bits.view(np.float32))


def ordinals_of(keys: Keys) -> Ordinals:
    """Return the ordinals in keys, in their shape; -1 for ``NO_KEY``."""
    ordinals = (_LOW_HALF - (keys & _LOW_HALF)).astype(np.int32)
    return np.where(keys == NO_KEY, np.int32(NO_NEIGHBOUR), ordinals)


def nearest_first(keys: Keys) -> Ordinals:
    """Return the ordinals [n, k] in keys [n, k], nearest first; short rows end in -1."""
    return ordinals_of(np.flip(np.sort(keys, axis=1), axis=1))


class Nearest:
    """The ``k`` nearest neighbours of each row of a block. Several threads may use one object.

    Offered documents are buffered until one row has several, then merged into all rows at once.

    Args:
        keys: The array of keys, [r, k]: full of ``NO_KEY``, or with earlier neighbours.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._waiting: list[tuple[Rows, Keys]] = []
        self._counts = np.zeros(len(keys), dtype=np.int64)
        self.bound: Floats = similarities_of(keys.min(axis=1))

    @property
    def k(self) -> int:
        """The number of neighbours of a row."""
        return int(self._keys.shape[1])

    def offer(self, similarities: torch.Tensor, first: int) -> None:
        """Add the ``m`` documents from ``first`` on.

        Args:
            similarities: Similarities [r, m] of rows and documents; minus infinity excludes one.
            first: Ordinal of the first of the m documents.
        """
        rows, columns, values = _at_least(similarities, self._bound_within(similarities))
        if len(rows) == 0:
            return
        keys = to_keys(values, columns + first)
        with self._lock:
            self._waiting.append((rows, keys))
            self._counts += np.bincount(rows, minlength=len(self._keys))
            if self._counts.max() >= min(_MOST_WAITING, self.k):
                self._merge()

    def settle(self) -> None:
        """Merge the buffered documents; after that, the keys include all that were offered."""
        with self._lock:
            if self._waiting:
                self._merge()

    def _bound_within(self, similarities: torch.Tensor) -> Floats:
        """Return the least useful similarity of each row [r]; of short rows, the k-th offered."""
        bound = self.bound
        if similarities.shape[1] < self.k or np.isfinite(bound).all():
            return bound
        kth = torch.topk(similarities, self.k, dim=1).values[:, -1]
        raised: Floats = np.maximum(bound, kth.cpu().numpy())
        return raised

    def _merge(self) -> None:
        rows = np.concatenate([rows for rows, _ in self._waiting])
        keys = np.concatenate([keys for _, keys in self._waiting])
        # NumPy sorts 16-bit integers by counting, which is fast.
        order = np.argsort(rows.astype(np.uint16), kind="stable")
        rows, keys = rows[order], keys[order]
        places = np.arange(len(rows)) - np.repeat(
            np.cumsum(self._counts) - self._counts, self._counts
        )
        more = int(self._counts.max())
        table = np.full((len(self._keys), self.k + more), NO_KEY)
        table[:, : self.k] = self._keys
        table[rows, self.k + places] = keys
        self._keys[:] = np.partition(table, more, axis=1)[:, more:]
        self.bound = similarities_of(self._keys.min(axis=1))
        self._waiting.clear()
        self._counts[:] = 0


def _at_least(similarities: torch.Tensor, bound: Floats) -> tuple[Rows, Rows, Floats]:
    """Return rows, columns and values of the similarities [r, m] that reach their bound [r]."""
    if similarities.device.type == "cpu":
        values = similarities.numpy()
        rows, columns = _places(values >= bound[:, None])
        candidates = values[rows, columns]
    else:
        limit = torch.from_numpy(bound).to(similarities.device)
        places = torch.nonzero(similarities >= limit[:, None], as_tuple=True)
        candidates = similarities[places].cpu().numpy()
        rows, columns = (place.cpu().numpy() for place in places)
    kept = candidates > -np.inf
    return (
        (rows, columns, candidates) if kept.all() else (rows[kept], columns[kept], candidates[kept])
    )


def _places(mask: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Return rows and columns of the true values, in their order in memory."""
    if mask.flags.c_contiguous:
        rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    else:
        columns, rows = np.divmod(np.flatnonzero(mask.T), mask.shape[0])
    return rows, columns
