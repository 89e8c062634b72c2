"""Options of building a neighbour graph, and the names of the builders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from hypencli.engine.neighbours.similarity import Metric


Builder: TypeAlias = Literal["auto", "exact", "nn-descent", "hnsw"]

BUILDERS: tuple[Builder, ...] = get_args(Builder)


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """How a neighbour graph is made.

    Attributes:
        k: Neighbours of a document.
        metric: What is near: ``l2``, ``ip`` or ``cos``.
        builder: ``exact``, ``nn-descent``, ``hnsw``, or ``auto``: exact up to 100,000 documents.
        dtype: Arithmetic of the exact builder.
        device: Where the exact builder and the measurement of recall work; None is the best.
        seed: Of an approximate builder, and of the sample that its recall is measured on.
        candidates: NN-descent: neighbours of neighbours compared in an iteration.
        iterations: NN-descent: the most iterations.
        trees: NN-descent: random projection trees to start from.
        m: HNSW: links of a document.
        ef_construction: HNSW: candidates for the links of a document.
        ef_search: HNSW: candidates of a search for neighbours; at least k + 1 are taken.
        name: Name of the graph.
    """

    k: int = 100
    metric: Metric = "l2"
    builder: Builder = "auto"
    dtype: str = "float32"
    device: str | None = None
    seed: int = 0
    candidates: int = 60
    iterations: int = 20
    trees: int = 8
    m: int = 32
    ef_construction: int = 200
    ef_search: int = 200
    name: str | None = None
