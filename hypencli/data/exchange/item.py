"""Encoded documents: one item, and a source of items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from hypencli.data.exchange.content_hash import OnBytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.floating[Any]]

MAX_DIM = 65_536
"""Maximum width of a vector; the widest encoders have about a tenth of it."""


_ITEMS = 256
"""Documents of a block that are returned one by one."""


class EncodedItem(NamedTuple):
    """A document with its vector ``[d]``; ``text`` is None if the source has no texts."""

    doc_id: str
    vector: Vector
    text: str | None


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """Successive documents with their vectors.

    Attributes:
        doc_ids: Ids of ``n`` documents.
        vectors: Their vectors ``[n, d]``.
        texts: Their texts; None if the source has no texts.
    """

    doc_ids: list[str]
    vectors: Vector
    texts: list[str] | None

    def items(self) -> Iterator[EncodedItem]:
        """Return the documents one by one."""
        texts: Sequence[str | None] = self.texts or [None] * len(self.doc_ids)
        return map(EncodedItem, self.doc_ids, self.vectors, texts)


@dataclass(frozen=True, slots=True)
class EncodedItems:
    """Encoded documents that can be read several times, in blocks or one at a time.

    Attributes:
        name: Name of the source for messages.
        has_text: Whether the documents have texts.
        count: Number of documents; None if it is unknown before reading.
        read: Starts a reading in blocks of a size, and passes all bytes of the file on; it raises
            :class:`~hypencli.errors.DataError` at a malformed item.
    """

    name: str
    has_text: bool
    count: int | None
    read: Callable[[int, OnBytes | None], Iterator[EncodedBlock]]

    def __iter__(self) -> Iterator[EncodedItem]:
        return chain.from_iterable(block.items() for block in self.blocks(_ITEMS))

    def blocks(self, size: int, on_bytes: OnBytes | None = None) -> Iterator[EncodedBlock]:
        """Read the documents in blocks of ``size``; the last one is smaller.

        Args:
            size: Documents of a block.
            on_bytes: Takes all bytes of the file, those of a block before it is returned.

        Raises:
            DataError: An item is malformed.
        """
        return self.read(size, on_bytes)
