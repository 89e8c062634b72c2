"""Drafts of artifacts: discarded on errors, and finished artifacts with equal inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from hypencli.errors import HypeError
from hypestore import EmbeddingWork, InvalidContent, JsonValue, Kind, Manifest, Store


class DiscardableWork(Protocol):
    """An unfinished artifact."""

    existing: Manifest | None

    def discard(self) -> None:
        """Delete the partial files."""
        ...


@contextmanager
def discard_on_error(
    work: DiscardableWork,
    *,
    unless: Callable[[], bool] = lambda: False,
    errors: tuple[type[Exception], ...] = (HypeError, InvalidContent),
) -> Iterator[None]:
    """Delete a partial artifact if its input is wrong.

    A corrected input has a different id, so this partial artifact would never be reused.

    Args:
        work: The unfinished artifact.
        unless: Called after an error. The partial artifact is kept if it returns True.
        errors: Errors that mean that the input is wrong.
    """
    try:
        yield
    except errors:
        if work.existing is None and not unless():
            work.discard()
        raise


def discard_unless_shards(work: EmbeddingWork) -> AbstractContextManager[None]:
    """Delete a partial embedding set if its input is wrong, unless it has finished shards.

    Finished shards are kept, so that the same command can resume. The folder is also kept if other
    processes write parts of the set.
    """
    return discard_on_error(work, unless=lambda: work.is_shared or work.has_shards)


def find_finished(
    store: Store,
    kind: Kind,
    inputs: Mapping[str, JsonValue],
    *,
    perhaps_unread: str | None = None,
) -> Manifest | None:
    """Find the newest artifact of a kind with exactly these inputs; None if there is none.

    Args:
        store: The project store.
        kind: Kind of the artifact.
        inputs: Inputs that determine the artifact.
        perhaps_unread: Name of an input. If its value is None, any value matches.
    """
    required = dict(inputs)
    if perhaps_unread is not None and required[perhaps_unread] is None:
        del required[perhaps_unread]
    fitting = [one for one in store.find(kind, required) if one.inputs.keys() == inputs.keys()]
    return fitting[-1] if fitting else None


@dataclass(frozen=True, slots=True)
class NameNotGiven:
    """A requested name that an existing artifact did not get.

    Attributes:
        asked: The requested name.
        taken_by: Id of another artifact of this kind with the name; None if there is none.
        needed_by: How many artifacts were made from the one that keeps its name.
    """

    asked: str
    taken_by: str | None
    needed_by: int


def name_not_given(store: Store, done: Manifest, asked: str | None) -> NameNotGiven | None:
    """Report a requested name that the artifact does not have; None if the names agree."""
    if asked is None or asked == done.name:
        return None
    named = (other.id for other in store.artifacts(done.kind) if other.name == asked)
    return NameNotGiven(asked, next(named, None), len(store.children_of(done.id)))
