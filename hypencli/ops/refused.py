"""What is left of work that was refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from hypencli.errors import HypeError
from hypestore import EmbeddingWork, InvalidContent, Manifest


class Work(Protocol):
    """An artifact in the making."""

    existing: Manifest | None

    def discard(self) -> None:
        """Delete the files made so far."""
        ...


@contextmanager
def nothing_left_where_refused(work: Work) -> Iterator[None]:
    """Discard what was made so far where the input turns out to be wrong.

    Another input makes another artifact: nobody would come back to this one.
    """
    try:
        yield
    except (HypeError, InvalidContent):
        if work.existing is None:
            work.discard()
        raise


@contextmanager
def shards_left_where_refused(work: EmbeddingWork) -> Iterator[None]:
    """The same for an embedding set, but shards stay: whoever mends the machine goes on there.

    A part among several leaves the folder to the others too.
    """
    try:
        yield
    except (HypeError, InvalidContent):
        if work.existing is None and not work.is_shared and not work.has_shards:
            work.discard()
        raise
