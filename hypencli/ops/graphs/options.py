"""Options of building a neighbour graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypencli.engine.neighbours.similarity import Metric


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """Options of a neighbour graph.

    Attributes:
        k: Neighbours per document.
        metric: Similarity or distance: ``l2``, ``ip`` or ``cos``.
        builder: A builder of :mod:`hypencli.ops.graphs.registry`, or ``auto``: exact up to 100,000
            documents.
        options: Options of the builder by name. A string is parsed as the type of the option.
        device: Device of the exact builder and of the recall. None selects the best one.
        seed: Seed of an approximate builder, and of the sample for its recall.
        name: Name of the graph.
    """

    k: int = 100
    metric: Metric = "l2"
    builder: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    seed: int = 0
    name: str | None = None
