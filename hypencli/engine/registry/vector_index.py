"""The engines of vector indexes, for bi-encoders: hnswlib and faiss."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hypencli.engine.registry.entry import EngineContext, EngineEntry
from hypencli.engine.vector_index.spec import INDEX_OPTIONS, IndexSpec

if TYPE_CHECKING:
    from hypencli.engine.results import Engine


class _IndexEntry(EngineEntry[Any]):
    queries = "vectors"
    needs = ("index",)

    def open(self, options: Any, context: EngineContext) -> Engine:
        from hypencli.engine.vector_index.engine import IndexEngine

        return IndexEngine(context.corpus, context.index(IndexSpec(self.name, asdict(options))))


class _Hnsw(_IndexEntry):
    name = "hnsw"
    summary = "a small world graph over the vectors, by hnswlib"
    options = INDEX_OPTIONS["hnsw"]
    package = "hnswlib"  # it has no wheel, so it needs a C++ compiler
    without_package = "faiss-hnsw"


class _FaissFlat(_IndexEntry):
    name = "faiss-flat"
    summary = "compares every vector with the query's, by faiss"
    options = INDEX_OPTIONS["faiss-flat"]


class _FaissFlat16(_IndexEntry):
    name = "faiss-flat16"
    summary = "compares every vector in float16, mapped from disk, by faiss"
    options = INDEX_OPTIONS["faiss-flat16"]


class _FaissIvf(_IndexEntry):
    name = "faiss-ivf"
    summary = "inverted lists of whole vectors, mapped from disk, by faiss"
    options = INDEX_OPTIONS["faiss-ivf"]


class _FaissHnsw(_IndexEntry):
    name = "faiss-hnsw"
    summary = "a small world graph over the vectors, by faiss"
    options = INDEX_OPTIONS["faiss-hnsw"]


class _FaissIvfpq(_IndexEntry):
    name = "faiss-ivfpq"
    summary = "inverted lists of product-quantised vectors, by faiss"
    options = INDEX_OPTIONS["faiss-ivfpq"]


HNSW = _Hnsw()
FAISS_FLAT = _FaissFlat()
FAISS_FLAT16 = _FaissFlat16()
FAISS_IVF = _FaissIvf()
FAISS_HNSW = _FaissHnsw()
FAISS_IVFPQ = _FaissIvfpq()
