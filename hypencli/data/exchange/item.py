"""Encoded documents: one item, and a source of items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.floating[Any]]

MAX_DIM = 65_536
"""Maximum width of a vector; the widest encoders have about a tenth of it."""


class EncodedItem(NamedTuple):
    """A document with its vector ``[d]``; ``text`` is None if the source has no texts."""

    doc_id: str
    vector: Vector
    text: str | None


@dataclass(frozen=True, slots=True)
class EncodedItems:
    """Encoded documents that can be read several times, one at a time.

    Attributes:
        name: Name of the source for messages.
        has_text: Whether the documents have texts.
        count: Number of documents; None if it is unknown before reading.
        read: Starts a reading, which raises :class:`~hypencli.errors.DataError` at a malformed
            item.
    """

    name: str
    has_text: bool
    count: int | None
    read: Callable[[], Iterator[EncodedItem]]

    def __iter__(self) -> Iterator[EncodedItem]:
        return self.read()
