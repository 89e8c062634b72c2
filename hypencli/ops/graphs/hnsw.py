"""The builders ``hnsw`` and ``faiss-hnsw``: a search of an HNSW index for every document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hypencli.engine.neighbours.settings import Hnsw
from hypencli.ops.graphs.builder import GraphBuilder, GraphWork

if TYPE_CHECKING:
    from hypencli.engine.neighbours.top_neighbours import Ordinals


@dataclass(frozen=True, kw_only=True)
class HnswBuilder(Hnsw, GraphBuilder):
    """HNSW by hnswlib (Malkov and Yashunin, 2018)."""

    help: ClassVar[str] = "searches an HNSW index with each document"
    package: ClassVar[str | None] = "hnswlib"  # it has no wheel, so it needs a C++ compiler
    without_package: ClassVar[str | None] = "faiss-hnsw"
    advice: ClassVar[str] = "raise ef_search, ef_construction or m"

    def build(self, work: GraphWork) -> Iterator[Ordinals]:
        """Compute the neighbours that the index finds.

        Yields:
            Ordinals of documents, int32 ``[r, k]``.

        Raises:
            MissingDependencyError: The library is not installed.
        """
        from hypencli.engine.neighbours.libraries import by_hnsw

        with work.progress.task("graph", total=2 * work.corpus.n, unit="documents") as task:
            yield from by_hnsw(
                work.corpus,
                work.metric,
                k=work.k,
                settings=self,
                library=str(self.package),
                on_done=task.advance,
            )


@dataclass(frozen=True, kw_only=True)
class FaissHnswBuilder(HnswBuilder):
    """HNSW by faiss, which has wheels."""

    help: ClassVar[str] = "searches an HNSW index of faiss with each document"
    package: ClassVar[str | None] = "faiss"
    without_package: ClassVar[str | None] = None
