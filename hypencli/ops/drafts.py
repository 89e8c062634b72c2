"""Artifacts of the store as verbs meet them: finished, refused, or named otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from hypencli.errors import HypeError
from hypestore import EmbeddingWork, InvalidContent, JsonValue, Kind, Manifest, Store


class DiscardableWork(Protocol):
    """An artifact in the making."""

    existing: Manifest | None

    def discard(self) -> None:
        """Delete the files made so far."""
        ...


@contextmanager
def discard_on_error(
    work: DiscardableWork,
    *,
    unless: Callable[[], bool] = lambda: False,
    errors: tuple[type[Exception], ...] = (HypeError, InvalidContent),
) -> Iterator[None]:
    """Discard what was made so far where the input turns out to be wrong.

    Another input makes another artifact: nobody would come back to this one.

    Args:
        work: What is made.
        unless: Whether there is something by then that somebody goes on with after all.
        errors: What says that the input is wrong.
    """
    try:
        yield
    except errors:
        if work.existing is None and not unless():
            work.discard()
        raise


def discard_unless_shards(work: EmbeddingWork) -> AbstractContextManager[None]:
    """The same for an embedding set, but shards stay: whoever mends the machine goes on there.

    A part among several leaves the folder to the others too.
    """
    return discard_on_error(work, unless=lambda: work.is_shared or work.has_shards)


def find_finished(
    store: Store,
    kind: Kind,
    inputs: Mapping[str, JsonValue],
    *,
    perhaps_unread: str | None = None,
) -> Manifest | None:
    """The newest artifact of a kind that was made from exactly these inputs.

    Args:
        store: The project store.
        kind: What it is.
        inputs: What it was made from.
        perhaps_unread: An input that is None where nobody has read it: any value fits then.
    """
    known = dict(inputs)
    if perhaps_unread is not None and known[perhaps_unread] is None:
        del known[perhaps_unread]
    fitting = [one for one in store.find(kind, known) if one.inputs.keys() == inputs.keys()]
    return fitting[-1] if fitting else None


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
