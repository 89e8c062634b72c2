"""What a builder of neighbour graphs is: options, and a function from vectors to neighbours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hypencli.progress import Progress

if TYPE_CHECKING:
    import torch

    from hypencli.engine.corpus import VectorSource
    from hypencli.engine.neighbours.similarity import Metric
    from hypencli.engine.neighbours.top_neighbours import Ordinals


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphWork:
    """One graph to build.

    Attributes:
        corpus: The document vectors.
        metric: What is near: ``l2``, ``ip`` or ``cos``.
        k: Neighbours of a document.
        device: Where to compute.
        scratch: A folder for what the next process goes on from, if this one is stopped; it is
            not there yet, and is deleted with all in it when the graph is whole.
        progress: Listens.
    """

    corpus: VectorSource
    metric: Metric
    k: int
    device: torch.device
    scratch: Path
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class GraphBuilder(ABC):
    """A way to find the nearest neighbours of all documents; its fields identify the graph.

    A builder is a frozen dataclass that derives from this one. It declares options as
    :mod:`hypencli.option_fields` says, and computes :meth:`build`. One that draws random
    numbers has a plain field ``seed: int = 0`` too, which is the seed that the user asked for.
    Docs: ``docs/extending-graph-builder.md``.

    Attributes:
        help: What it is, in some words.
        package: Name of the module of an optional package that it needs, if any.
        without_package: The builder with the same options that works in its place where that
            package is not installed.
        advice: What finds more of the neighbours, in words that follow "to find more,".
    """

    help: ClassVar[str] = ""
    package: ClassVar[str | None] = None
    without_package: ClassVar[str | None] = None
    advice: ClassVar[str] = "take another builder"

    @abstractmethod
    def build(self, work: GraphWork) -> Iterator[Ordinals]:
        """The neighbours of all documents in order, in blocks of rows.

        Yields:
            Ordinals of documents, int32 ``[r, k]``: the nearest first, without the document
            itself, -1 at the end of rows that are not full.
        """

    @property
    def is_exact(self) -> bool:
        """Whether it finds all neighbours; else their recall is measured on a sample."""
        return False

    def bytes_to_save(self, n_documents: int, k: int) -> int:
        """Disk that it takes in ``work.scratch``, beside the graph."""
        return 0
