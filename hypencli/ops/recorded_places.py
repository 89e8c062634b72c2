"""Places that a store records and later commands read: only those that this account recorded."""

from __future__ import annotations

from hypencli.errors import UsageError
from hypencli.escaping import escape_shell
from hypencli.own_places import SEALS, is_own_place, place_seal
from hypencli.private_paths import SHORT
from hypestore import Manifest, Store

_NOT_OWN = (
    "This account did not record the place, so it is not read: a store or study can name any file."
)


def recorded_qrels(run: Manifest) -> str | None:
    """Return where the judgements of a run's queries are; None if the run records none.

    Raises:
        UsageError: Somebody else recorded the place.
    """
    return _recorded(
        run, "qrels", f"The run {run.name or run.id} names the judgements", "`qrels={}`"
    )


def recorded_queries(embeddings: Manifest) -> str | None:
    """Return where the queries of an encoded dataset are; None if the set records none.

    Raises:
        UsageError: Somebody else recorded the place.
    """
    named = f"The embedding set {embeddings.name or embeddings.id} names the queries"
    return _recorded(embeddings, "queries", named, "hype search {}")


def has_queries(embeddings: Manifest) -> bool:
    """Return whether an embedding set says where its queries are, and this account recorded it."""
    place = embeddings.stats.get("queries")
    return place is not None and is_own(embeddings, "queries", str(place))


def _recorded(manifest: Manifest, key: str, named: str, remedy: str) -> str | None:
    """A place in the ``stats`` of an artifact; ``remedy`` shows how to name another one."""
    place = manifest.stats.get(key)
    if place is None:
        return None
    if not is_own(manifest, key, str(place)):
        raise UsageError(
            f"{named} {place}. {_NOT_OWN}",
            hint=f"If these are the right ones, name them: {remedy.format(_typed(str(place)))}",
        )
    return str(place)


def _typed(place: str) -> str:
    """A place as it is typed in a command; ``FILE`` for one that an export has shortened."""
    return "FILE" if place.startswith(SHORT) else escape_shell(place)


def is_own(manifest: Manifest, name: str, place: str) -> bool:
    """Return whether this account recorded a place of an artifact; see :mod:`own_places`."""
    return is_own_place(manifest.provenance.get(SEALS), name, place)


def default_queries(store: Store) -> str | None:
    """Return the query set that is the store's default; None if there is none.

    Raises:
        UsageError: This account did not set it.
    """
    defaults = store.defaults
    place = defaults.get("queries")
    if place is None or is_own_place({"queries": defaults.get(_SEAL)}, "queries", place):
        return place
    raise UsageError(
        f"The default queries of this store are {place}. {_NOT_OWN}",
        hint=f"If these are the right ones: hype set queries {_typed(place)}, "
        f"or for once: hype search {_typed(place)}",
    )


_SEAL = "queries_seal"
"""Key of the seal of the default queries, beside them in ``hype.toml``."""


def set_default(store: Store, key: str, value: str) -> None:
    """Set a default of a store; that of queries gets the seal of this account.

    Raises:
        InvalidContent: ``key`` is not one of model, corpus, queries, device.
        UsageError: This account can keep no key, so the queries would never be read.
    """
    if key == "queries":
        seal = place_seal(key, value)
        if seal is None:
            raise UsageError(
                "Default queries need a key of this account, which cannot be written.",
                hint="Set XDG_STATE_HOME to a folder of yours that can be written.",
            )
        store.set_default(_SEAL, seal)
    store.set_default(key, value)
