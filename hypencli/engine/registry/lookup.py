"""Lookup of engines by name: shipped ones, and those of installed packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from hypencli.engine.registry.entry import EngineEntry
from hypencli.errors import UsageError, did_you_mean
from hypencli.plugins import offered, offered_names

GROUP = "hypencli.engines"
"""Entry points of installed packages: name of the engine -> an instance of :class:`EngineEntry`."""

SHIPPED: Mapping[str, str] = {
    "exact": "exact:EXACT",
    "guided": "guided:GUIDED",
    "graph": "graph:GRAPH",
    "rerank": "rerank:RERANK",
    "bm25": "bm25:BM25",
    "hnsw": "vector_index:HNSW",
    "faiss-flat": "vector_index:FAISS_FLAT",
    "faiss-flat16": "vector_index:FAISS_FLAT16",
    "faiss-ivf": "vector_index:FAISS_IVF",
    "faiss-hnsw": "vector_index:FAISS_HNSW",
    "faiss-ivfpq": "vector_index:FAISS_IVFPQ",
}
"""Name -> module of this package and attribute."""


def engine_names() -> list[str]:
    """Return the names of all engines, shipped ones first."""
    return [*SHIPPED, *(name for name in offered_names(GROUP) if name not in SHIPPED)]


def engine_entry(name: str) -> EngineEntry[Any]:
    """Return the engine with a name.

    Raises:
        UsageError: No engine has that name, or a package offers another object under it.
    """
    if name in SHIPPED:
        module, _, attribute = SHIPPED[name].partition(":")
        entry = getattr(importlib.import_module(f"hypencli.engine.registry.{module}"), attribute)
    else:
        entry = offered(GROUP, name)
    if entry is None:
        raise UsageError(f"There is no engine {name!r}.", hint=did_you_mean(name, engine_names()))
    if not isinstance(entry, EngineEntry):
        raise UsageError(
            f"What an installed package offers as engine {name!r} is no engine: {entry!r}.",
            hint=f"An entry point {GROUP} names an instance of EngineEntry: see docs/extending.md.",
        )
    return entry


def installed_entry(name: str) -> EngineEntry[Any]:
    """Return the engine that searches under a name on this machine.

    It is the named engine, or its replacement if a package that it needs is missing. Two libraries
    make different HNSW graphs, so a run is recorded under the engine that made it.

    Raises:
        UsageError: No engine has that name.
    """
    entry = engine_entry(name)
    if entry.package is None or entry.without_package is None:
        return entry
    is_missing = importlib.util.find_spec(entry.package) is None
    return engine_entry(entry.without_package) if is_missing else entry


def engine_entries() -> list[EngineEntry[Any]]:
    """Return all engines, shipped ones first."""
    return [engine_entry(name) for name in engine_names()]
