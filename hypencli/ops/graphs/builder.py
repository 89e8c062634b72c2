"""Base class of builders of neighbour graphs."""

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
        corpus: The document vectors ``[n, d]``.
        metric: Similarity or distance: ``l2``, ``ip`` or ``cos``.
        k: Neighbours per document.
        device: Device of the computation.
        scratch: Folder for the state of an interrupted build. The builder creates it. It is deleted
            when the graph is finished.
        progress: Where to report.
    """

    corpus: VectorSource
    metric: Metric
    k: int
    device: torch.device
    scratch: Path
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class GraphBuilder(ABC):
    """A method to find the nearest neighbours of all documents. Its fields identify the graph.

    A builder is a frozen dataclass that derives from this class. It declares options as described
    in :mod:`hypencli.option_fields`, and implements :meth:`build`. A builder that draws random
    numbers also has a plain field ``seed: int = 0``, which is set to the seed of the user. An
    example is in ``docs/extending.md``.

    Attributes:
        help: Short description.
        package: Module of an optional package that the builder needs, if any.
        without_package: Builder with the same options that replaces this one if the package is not
            installed.
        advice: Options that raise the recall, in words that follow "to find more,".
    """

    help: ClassVar[str] = ""
    package: ClassVar[str | None] = None
    without_package: ClassVar[str | None] = None
    advice: ClassVar[str] = "take another builder"

    @abstractmethod
    def build(self, work: GraphWork) -> Iterator[Ordinals]:
        """Compute the neighbours of all documents in order, in blocks of rows.

        Yields:
            Ordinals of documents, int32 ``[r, k]``: nearest first, without the document itself.
            Shorter rows end with -1.
        """

    @property
    def is_exact(self) -> bool:
        """Whether all neighbours are found. Otherwise their recall is measured on a sample."""
        return False

    def bytes_to_save(self, n_documents: int, k: int) -> int:
        """Return the number of bytes that the builder writes to ``work.scratch``."""
        return 0
