"""Check that ids are unique, with 8 bytes of memory for each document."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from hypencli.data.reading.rows import TextRow
from hypencli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RECENT_IDS = 65_536
"""Ids that are kept as text and compared at once; older ones are compared in batches."""


def hash_id(identifier: str) -> int:
    """Compute a 64-bit hash of an id."""
    digest = hashlib.blake2b(identifier.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class SeenIds:
    """Hashes of the ids seen so far, in sorted arrays that double in length.

    Older ids take 8 bytes each. Each id costs a logarithmic number of look-ups.
    """

    def __init__(self, recent_ids: int = RECENT_IDS) -> None:
        self._limit = recent_ids
        self._recent: set[int] = set()
        self._levels: list[npt.NDArray[np.uint64]] = []

    def add(self, hashed: int) -> list[int]:
        """Add a hash; return hashes of this or recent ids that occurred before."""
        if hashed in self._recent:
            return [hashed]
        self._recent.add(hashed)
        return self.settle() if len(self._recent) >= self._limit else []

    def settle(self) -> list[int]:
        """Compare the recent hashes with the older ones; return those that occurred before."""
        import numpy as np

        new = np.sort(np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent)))
        seen: set[int] = set()
        for level in self._levels:
            places = np.minimum(np.searchsorted(level, new), len(level) - 1)
            seen.update(new[level[places] == new].tolist())
        self._recent.clear()
        self._keep(new)
        return sorted(seen)

    def _keep(self, new: npt.NDArray[np.uint64]) -> None:
        import numpy as np

        while self._levels and len(self._levels[-1]) <= len(new):
            new = np.sort(np.concatenate([self._levels.pop(), new]), kind="stable")
        if len(new):
            self._levels.append(new)


def check_unique(
    rows: Iterable[TextRow],
    again: Callable[[], Iterable[TextRow]],
    *,
    name: str,
    unit: str,
    recent_ids: int = RECENT_IDS,
) -> Iterator[TextRow]:
    """Yield rows, and raise at a duplicate id.

    A duplicate of one of the last ``recent_ids`` rows is found at once, an older one after at most
    ``recent_ids`` further rows. The source is then read again, to confirm that the ids are equal
    and not only their hashes, and to name both places.

    Args:
        rows: The rows.
        again: Reads the rows again from the start.
        name: Name of the source for the message.
        unit: Unit of a position: ``line`` or ``document``.
        recent_ids: See :data:`RECENT_IDS`.

    Raises:
        DataError: An id is not unique.
    """
    seen = SeenIds(recent_ids)
    for row in rows:
        suspects = seen.add(hash_id(row.id))
        if suspects:
            _confirm(set(suspects), again(), name, unit)
        yield row
    suspects = seen.settle()
    if suspects:
        _confirm(set(suspects), again(), name, unit)


def _confirm(suspects: set[int], rows: Iterable[TextRow], name: str, unit: str) -> None:
    places: dict[str, int] = {}
    for row in rows:
        if hash_id(row.id) not in suspects:
            continue
        if row.id in places:
            raise duplicate(name, row.id, (places[row.id], row.position), unit)
        places[row.id] = row.position


def refuse_duplicates(rows: Iterable[TextRow], name: str, unit: str) -> Iterator[TextRow]:
    """Yield rows, and raise at once at a duplicate id; memory holds all ids.

    Args:
        rows: The rows.
        name: Name of the source for the message.
        unit: Unit of a position.

    Raises:
        DataError: An id is not unique.
    """
    places: dict[str, int] = {}
    for row in rows:
        if row.id in places:
            raise duplicate(name, row.id, (places[row.id], row.position), unit)
        places[row.id] = row.position
        yield row


def duplicate(name: str, identifier: str, places: tuple[int, int], unit: str) -> DataError:
    """Return the error for a duplicate id."""
    return DataError(
        f"{name}: the id {identifier!r:.80} is there twice, "
        f"at {unit}s {places[0]} and {places[1]}.",
        hint="Ids must be unique: results could not be told apart.",
    )
