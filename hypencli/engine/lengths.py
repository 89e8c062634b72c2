"""Vectors that inner products can be made of, told before a library swallows others.

An inner product is at most the product of two lengths: where every squared length is a float32, so
is every score. Libraries leave out, or rank anywhere, what is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hypencli.engine.corpus import SearchCorpus
from hypencli.errors import ModelError

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
