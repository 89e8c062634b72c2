"""Options of building a neighbour graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypencli.engine.neighbours.similarity import Metric


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """How a neighbour graph is made.

    Attributes:
        k: Neighbours of a document.
        metric: What is near: ``l2``, ``ip`` or ``cos``.
        builder: A builder of :mod:`hypencli.ops.graphs.registry`, or ``auto``: exact up to 100,000
            documents.
        options: Options of the builder by name; a text is read as a value of the option's type.
        device: Where the exact builder and the measurement of recall work; None is the best.
        seed: Of an approximate builder, and of the sample that its recall is measured on.
        name: Name of the graph.
    """

    k: int = 100
    metric: Metric = "l2"
    builder: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    seed: int = 0
    name: str | None = None
