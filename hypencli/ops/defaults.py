"""Defaults of a store: what commands use where they are not told otherwise."""

from __future__ import annotations

from pathlib import Path

from hypencli.errors import UsageError
from hypencli.escaping import escape_shell
from hypencli.ops import recorded_places
from hypencli.ops.dataset_names import dataset_place
from hypencli.ops.models import display_name
from hypencli.runtime import resolve_device
from hypestore import Store

DEFAULTS = ("model", "corpus", "queries", "device")
"""What can be set."""


def set_default(store: Store, key: str, value: str) -> str:
    """Set a default of a store, after a check that commands can use it.

    Args:
        store: The project store.
        key: ``model``, ``corpus``, ``queries`` or ``device``.
        value: A model of the store; a corpus that is encoded; a query set, by an ir_datasets id, a
            path or the name of a prepared dataset; a device.

    Returns:
        The value as it is kept. A path is kept as an absolute one.

    Raises:
        UsageError: There is no such default, the corpus is not encoded, or this account can keep no
            key for the seal of the queries.
        ArtifactNotFound: The store has no such model.
        DataError: There is no such query set.
        DeviceError: This machine has no such device.
    """
    if key not in DEFAULTS:
        raise UsageError(f"There is no default {key!r}.", hint=f"Known: {', '.join(DEFAULTS)}.")
    match key:
        case "model":
            value = display_name(store.get(value, kind="model"))
        case "corpus":
            _refuse_unknown_corpus(store, value)
        case "queries":
            value = _query_set(store, value)
        case "device":
            resolve_device(value)
    recorded_places.set_default(store, key, value)
    return value


def shown_defaults(store: Store) -> dict[str, str]:
    """Return the defaults that are set, without the seal of the queries."""
    return {key: value for key, value in store.defaults.items() if key in DEFAULTS}


def _refuse_unknown_corpus(store: Store, corpus: str) -> None:
    encoded = store.artifacts("embeddings")
    ids = sorted({str(one.inputs.get("corpus")) for one in encoded})
    named = {*ids, *(one.partition(":")[2] for one in ids), *(one.name for one in encoded)}
    if corpus not in named:
        raise UsageError(
            f"The corpus {corpus!r} is not encoded in this store.",
            hint=f"Encoded: {', '.join(ids)}."
            if ids
            else f"Encode it first: hype encode {escape_shell(corpus)}",
        )


def _query_set(store: Store, queries: str) -> str:
    from hypencli.data.queries import QUERY_FIELDS
    from hypencli.data.reading.source import resolve

    place = dataset_place(store.root, queries)
    resolve(place, what="query set").require("queries", QUERY_FIELDS)
    path = Path(place).expanduser()
    return str(path.resolve()) if path.exists() else place
