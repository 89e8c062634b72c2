"""Corpora for search: document vectors, read in order or by ordinal, and document ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from hypencli.errors import ModelError

Vectors: TypeAlias = npt.NDArray[np.generic]
"""Document vectors ``[n, d]``, float16 or float32."""

Scores: TypeAlias = npt.NDArray[np.float32]
Ordinals: TypeAlias = npt.NDArray[np.int64]
"""Ordinals of documents: their positions in the corpus, from 0."""

DocIds: TypeAlias = Callable[[Ordinals], Sequence[str]]
"""A function from ordinals to document ids, called only for ties and for the final ranking."""

Block: TypeAlias = tuple[int, Vectors]
"""Ordinal of the first document, and vectors ``[n, d]``."""


def names_by_place(ordinals: Ordinals) -> Sequence[str]:
    """Return names that sort like the ordinals, for ties where the ids are not needed."""
    return [f"{place:020d}" for place in ordinals.tolist()]


class VectorSource(Protocol):
    """Document vectors that can be read in order or by ordinal."""

    @property
    def n(self) -> int:
        """The number of documents."""
        ...

    @property
    def dim(self) -> int:
        """Width of the vectors, ``d``."""
        ...

    def blocks(self) -> Iterable[Block]:
        """Yield all vectors in order, in blocks of any size."""
        ...

    def vectors(self, ordinals: Ordinals, /) -> Vectors:
        """Return copies of the vectors ``[m, d]`` of documents, in the order of ``ordinals``."""
        ...


class SearchCorpus(VectorSource, Protocol):
    """The vectors and ids of the documents to search, such as a stored embedding set."""

    def ids(self, ordinals: Ordinals, /) -> Sequence[str]:
        """Return the ids of documents, in the order of ``ordinals``."""
        ...


class TextCorpus(Protocol):
    """The texts of the documents to search, in parts, and a place for files made from them."""

    @property
    def n_parts(self) -> int:
        """The number of parts of the corpus."""
        ...

    def texts(self, part: int) -> Sequence[str]:
        """Return the texts of the documents of one part, in order."""
        ...

    def ids(self, ordinals: Ordinals, /) -> Sequence[str]:
        """Return the ids of documents, in the order of ``ordinals``."""
        ...

    def cached(self, name: str, make: Callable[[Path], None], **determined_by: object) -> Path:
        """Return a folder with the engine's own files; it is made once and kept.

        Args:
            name: Short name of its content.
            make: Writes the files into an empty folder.
            determined_by: All that the files depend on besides the texts.
        """
        ...


class VectorCorpus:
    """A corpus in memory.

    Args:
        vectors: ``[n, d]``, float16 or float32.
        ids: One id a document; by default, the ordinal as text.
    """

    def __init__(self, vectors: Vectors, ids: Sequence[str] | None = None) -> None:
        self._vectors = vectors
        self._ids = [str(i) for i in range(len(vectors))] if ids is None else ids

    @property
    def n(self) -> int:
        """The number of documents."""
        return len(self._vectors)

    @property
    def dim(self) -> int:
        """Width of the vectors, ``d``."""
        return int(self._vectors.shape[1])

    def blocks(self) -> Iterable[Block]:
        """Yield all vectors as one block."""
        return [(0, self._vectors)]

    def vectors(self, ordinals: Ordinals, /) -> Vectors:
        """Return the vectors ``[m, d]`` of documents, in the order of ``ordinals``."""
        return self._vectors[ordinals]

    def ids(self, ordinals: Ordinals, /) -> list[str]:
        """Return the ids of documents, in the order of ``ordinals``."""
        return [self._ids[i] for i in ordinals.tolist()]


_ROWS = 16_384


def first_beyond(vectors: npt.NDArray[Any]) -> int | None:
    """Return the first row of ``[n, d]`` whose squared length is not a finite float32, or None."""
    rows = np.asarray(vectors, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(np.einsum("nd,nd->n", rows, rows))
    return None if finite.all() else int(np.argmin(finite))


def refuse_beyond_float32(corpus: SearchCorpus) -> None:
    """Raise an error if a vector is too long for inner products in float32.

    Raises:
        ModelError: A vector is too long or holds NaN; the error names the document.
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
