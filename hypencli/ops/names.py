"""A name that was asked for, and that an artifact which was made before does not have."""

from __future__ import annotations

from dataclasses import dataclass

from hypestore import Manifest, Store


@dataclass(frozen=True, slots=True)
class NameNotGiven:
    """A name that was not given: an artifact keeps the one it was made with, or has none.

    Attributes:
        asked: The name.
        taken_by: The other artifact of this kind that has it, by id; None where none has.
        needed_by: How many artifacts were made from the one that keeps its name.
    """

    asked: str
    taken_by: str | None
    needed_by: int


def name_not_given(store: Store, done: Manifest, asked: str | None) -> NameNotGiven | None:
    """The name that the user asked for, where it is not that of the artifact; else None."""
    if asked is None or asked == done.name:
        return None
    named = (other.id for other in store.artifacts(done.kind) if other.name == asked)
    return NameNotGiven(asked, next(named, None), len(store.children_of(done.id)))
