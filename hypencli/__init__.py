"""Hypencoder retrieval: q-nets trained, encoded, searched, evaluated and compared.

    import hypencli

    model = hypencli.load("jfkback/hypencoder.6_layer")
    vectors = model.encode_passages(["India has 28 states.", "A concussion can show at once."])
    q_nets = model.encode_queries(["how many states are there in india"])
    scores = q_nets(vectors)            # [q, n]

Importing this package loads nothing heavy; the names below load what they need when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hypencli._version import __version__

if TYPE_CHECKING:
    from hypencli.api import EncodedQueries, Model, Project, RunResults, load, open_store
    from hypencli.client import Connection, connect
    from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
    from hypencli.models.encoder import TextEncoder
    from hypencli.models.hypernet import Hypencoder

_HOMES = {
    "EncodedQueries": "hypencli.api",
    "Connection": "hypencli.client",
    "Hypencoder": "hypencli.models.hypernet",
    "HypencoderDualEncoder": "hypencli.models.dual",
    "Model": "hypencli.api",
    "Project": "hypencli.api",
    "RunResults": "hypencli.api",
    "TextDualEncoder": "hypencli.models.dual",
    "TextEncoder": "hypencli.models.encoder",
    "connect": "hypencli.client",
    "load": "hypencli.api",
    "open_store": "hypencli.api",
}

__all__ = [
    "Connection",
    "EncodedQueries",
    "Hypencoder",
    "HypencoderDualEncoder",
    "Model",
    "Project",
    "RunResults",
    "TextDualEncoder",
    "TextEncoder",
    "__version__",
    "connect",
    "load",
    "open_store",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'hypencli' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
