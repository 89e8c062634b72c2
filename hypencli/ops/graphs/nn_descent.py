"""The builder ``nn-descent``: refines neighbours by comparing neighbours of neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hypencli.engine.neighbours.settings import NNDescent
from hypencli.ops.graphs.builder import GraphBuilder, GraphWork

if TYPE_CHECKING:
    from hypencli.engine.neighbours.top_neighbours import Ordinals


@dataclass(frozen=True, kw_only=True)
class NNDescentBuilder(NNDescent, GraphBuilder):
    """NN-descent by pynndescent (Dong, Moses and Li, WWW 2011)."""

    help: ClassVar[str] = "compares neighbours of neighbours"
    package: ClassVar[str | None] = "pynndescent"
    advice: ClassVar[str] = "raise candidates, iterations or trees"

    def build(self, work: GraphWork) -> Iterator[Ordinals]:
        """Compute the neighbours that NN-descent finds.

        Yields:
            Ordinals of documents, int32 ``[r, k]``.

        Raises:
            MissingDependencyError: pynndescent is not installed.
            UsageError: The corpus has too few documents for k.
        """
        from hypencli.engine.neighbours.libraries import by_nn_descent

        with work.progress.task("graph", unit="documents") as task:
            task.note("NN-descent reports no progress")
            yield from by_nn_descent(work.corpus, work.metric, k=work.k, settings=self)
