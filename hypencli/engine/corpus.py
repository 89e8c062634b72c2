"""What search reads: the vectors of a corpus in order or by place, and its document ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from hypencli.errors import ModelError

Vectors: TypeAlias = npt.NDArray[np.generic]
"""Document vectors ``[n, d]``, float16 or float32."""

Scores: TypeAlias = npt.NDArray[np.float32]
Ordinals: TypeAlias = npt.NDArray[np.int64]
"""Places of documents in their corpus, from 0."""

DocIds: TypeAlias = Callable[[Ordinals], Sequence[str]]
"""Ids of places in the corpus: asked only where scores tie, and for the final ranking."""

Block: TypeAlias = tuple[int, Vectors]
"""Place of the first document, and vectors ``[n, d]``."""


def names_by_place(ordinals: Ordinals) -> Sequence[str]:
    """Names of documents that sort as their places do, where ids need not be known."""
    return [f"{place:020d}" for place in ordinals.tolist()]


class VectorSource(Protocol):
    """Vectors that are read in order, or some of them."""

    @property
    def n(self) -> int:
        """How many documents."""
        ...

    @property
    def dim(self) -> int:
        """Width of their vectors, ``d``."""
        ...

    def blocks(self) -> Iterable[Block]:
        """All vectors in order, in blocks of any size."""
        ...

    def vectors(self, ordinals: Ordinals, /) -> Vectors:
        """Copies of the vectors ``[m, d]`` of some documents, in the order asked for."""
        ...


class SearchCorpus(VectorSource, Protocol):
    """The documents that are searched. An embedding set of a project store is one."""

    def ids(self, ordinals: Ordinals, /) -> Sequence[str]:
        """The ids of some documents, in the order asked for."""
        ...


class VectorCorpus:
    """A corpus in memory.

    Args:
        vectors: ``[n, d]``, float16 or float32.
        ids: One a document; their places as text by default.
    """

    def __init__(self, vectors: Vectors, ids: Sequence[str] | None = None) -> None:
        self._vectors = vectors
        self._ids = [str(i) for i in range(len(vectors))] if ids is None else ids

    @property
    def n(self) -> int:
        """How many documents."""
        return len(self._vectors)

    @property
    def dim(self) -> int:
        """Width of their vectors, ``d``."""
        return int(self._vectors.shape[1])

    def blocks(self) -> Iterable[Block]:
        """All vectors as one block."""
        return [(0, self._vectors)]

    def vectors(self, ordinals: Ordinals, /) -> Vectors:
        """The vectors ``[m, d]`` of some documents, in the order asked for."""
        return self._vectors[ordinals]

    def ids(self, ordinals: Ordinals, /) -> list[str]:
        """The ids of some documents, in the order asked for."""
        return [self._ids[i] for i in ordinals.tolist()]


_ROWS = 16_384


def first_beyond(vectors: npt.NDArray[Any]) -> int | None:
    """The first row of ``[n, d]`` whose squared length is NaN or no float32; None where none is."""
    rows = np.asarray(vectors, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(np.einsum("nd,nd->n", rows, rows))
    return None if finite.all() else int(np.argmin(finite))


def refuse_beyond_float32(corpus: SearchCorpus) -> None:
    """Refuse a corpus of which a vector is too long for inner products in float32.

    Raises:
        ModelError: One is, or holds NaN; names the document.
    """
    for first, vectors in corpus.blocks():
        for start in range(0, len(vectors), _ROWS):
            piece = vectors[start : start + _ROWS]
            row = first_beyond(piece)
            if row is None:
                continue
            doc_id = corpus.ids(np.array([first + start + row]))[0]
            largest = float(np.abs(piece[row].astype(np.float32)).max())
            raise ModelError(
                f"The vector of document {doc_id!r} is too long for products in float32: its "
                f"largest value is {largest:g}.",
                hint="Check the model, or the file, that it is from.",
            )
