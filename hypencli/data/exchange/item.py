"""One encoded document, and a source of many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.floating[Any]]

MAX_DIM = 65_536
"""Widest vector that is read; the widest encoders there are have a tenth of it."""


class EncodedItem(NamedTuple):
    """A document with its vector ``[d]``; ``text`` is None where the source has none."""

    doc_id: str
    vector: Vector
    text: str | None


@dataclass(frozen=True, slots=True)
class EncodedItems:
    """Encoded documents that can be read again and again, one at a time.

    Attributes:
        name: Stands for the source in messages.
        has_text: Whether every document has its text.
        count: How many there are, where that is known before they are read.
        read: Begins to read them; raises :class:`~hypencli.errors.DataError` at the first that is
            not what it should be.
    """

    name: str
    has_text: bool
    count: int | None
    read: Callable[[], Iterator[EncodedItem]]

    def __iter__(self) -> Iterator[EncodedItem]:
        return self.read()
