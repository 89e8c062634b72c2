"""Encoded queries, kept in the store once for a model and a query set.

A search, a calibration and the searches of a replication with the same queries read them. What is
kept equals what encoding would give, to the last bit: the cache is named by all that the numbers
depend on, also the machine's arithmetic and the versions of the libraries.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli._version import __version__
from hypencli.escaping import escape_shell
from hypencli.ops.models import LoadedModel
from hypencli.ops.search.options import Scoring
from hypencli.ops.search.scoring import encoded_queries
from hypencli.runtime import cache_name, provenance, resolve_device
from hypestore import ArtifactBusy, ArtifactNotFound, DamagedArtifact, Store, StoreNotWritable

if TYPE_CHECKING:
    from hypencli.models.encoding import QueryStates

KIND = "queries"

LEAST_QUERIES = 16
"""Fewer queries are not kept: they are encoded about as fast as they are read."""

MOST_BYTES, MOST_BYTES_OF_ALL = 1 << 28, 1 << 30
"""Most bytes of one query set that is kept, and of all; the least recently used ones go."""

_STATES, _OFFSETS, _ABOUT = "states.npy", "offsets.npy", "about.json"


class _TooLarge(Exception):
    """The encoded queries have more than :data:`MOST_BYTES`."""


@dataclass(frozen=True, slots=True)
class KeptQueries:
    """Encoded queries of a set.

    Attributes:
        states: The queries.
        seconds: How long encoding took, now or when they were kept. So the costs of two searches
            of one set can be compared, whichever of them came first.
    """

    states: QueryStates
    seconds: float


def kept_queries(
    store: Store, loaded: LoadedModel, texts: list[str], scoring: Scoring
) -> KeptQueries:
    """Return the encoded queries of a set: those of the store, or else encode and keep them.

    Nothing is kept in a store that cannot be written.

    Args:
        store: The project store.
        loaded: The model.
        texts: All queries of the set, in its order.
        scoring: How documents are scored.

    Raises:
        DamagedArtifact: The files do not hold the states of these queries.
    """
    if len(texts) < LEAST_QUERIES:
        return _encode(loaded, texts, scoring)
    encoded: list[KeptQueries] = []

    def make(folder: Path) -> None:
        encoded.append(_encode(loaded, texts, scoring))
        if encoded[0].states.n_bytes > MOST_BYTES:
            raise _TooLarge
        _write(folder, encoded[0])

    try:
        folder = store.cached(_name(loaded, texts, scoring), make)
    except _TooLarge:
        return encoded[0]
    except StoreNotWritable:
        return encoded[0] if encoded else _encode(loaded, texts, scoring)
    if encoded:
        _delete_oldest(store)
        return encoded[0]
    return _read(folder, loaded, len(texts), scoring)


def _encode(loaded: LoadedModel, texts: list[str], scoring: Scoring) -> KeptQueries:
    started = time.perf_counter()
    states = encoded_queries(loaded, texts, scoring)
    return KeptQueries(states, time.perf_counter() - started)


def _name(loaded: LoadedModel, texts: Iterable[str], scoring: Scoring) -> str:
    import torch

    device = resolve_device(scoring.device)
    origin = provenance(device=str(device))
    return cache_name(
        KIND,
        model=loaded.manifest.id,
        texts=_digest(texts),
        max_length=scoring.query_max_length,
        device=str(device),
        hype=__version__,
        packages=origin["packages"],
        processor=[platform.machine(), torch.backends.cpu.get_cpu_capability()],
        threads=torch.get_num_threads(),
    )


def _digest(texts: Iterable[str]) -> str:
    """Hash texts with their lengths, so that no two lists of texts have one hash."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode("utf-8")
        digest.update(f"{len(encoded)}:".encode("ascii"))
        digest.update(encoded)
    return digest.hexdigest()


def _write(folder: Path, encoded: KeptQueries) -> None:
    import numpy as np

    states, offsets = encoded.states.to_arrays()
    np.save(folder / _STATES, states, allow_pickle=False)
    np.save(folder / _OFFSETS, offsets, allow_pickle=False)
    about = {"n_cut": encoded.states.n_cut, "seconds": encoded.seconds}
    (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def _read(folder: Path, loaded: LoadedModel, n_queries: int, scoring: Scoring) -> KeptQueries:
    import numpy as np

    from hypencli.models.encoding import EncodingOptions, QueryStates

    try:
        states = np.load(folder / _STATES, allow_pickle=False)
        offsets = np.load(folder / _OFFSETS, allow_pickle=False)
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        if len(offsets) != n_queries + 1:
            raise ValueError(f"they are {len(offsets) - 1} queries, not {n_queries}")
        kept = QueryStates.from_arrays(
            loaded.dual.query_encoder,
            states,
            offsets,
            EncodingOptions(
                max_length=scoring.query_max_length, device=resolve_device(scoring.device)
            ),
            width=scoring.width,
            n_cut=int(about["n_cut"]),
        )
        return KeptQueries(kept, float(about["seconds"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedArtifact(
            f"The encoded queries in {folder} are damaged: {error}.",
            hint=f"Delete them, and the next search makes them again: rm -r {escape_shell(folder)}",
        ) from error


def _delete_oldest(store: Store) -> None:
    """Delete the least recently used query sets beyond :data:`MOST_BYTES_OF_ALL`."""
    kept = [cache for cache in store.caches() if cache.name.startswith(f"{KIND}-")]
    excess = sum(cache.size_bytes for cache in kept) - MOST_BYTES_OF_ALL
    for cache in kept[:-1]:  # the last one was made just now
        if excess <= 0:
            return
        with contextlib.suppress(ArtifactBusy, ArtifactNotFound):
            store.remove_cache(cache.name)
            excess -= cache.size_bytes
