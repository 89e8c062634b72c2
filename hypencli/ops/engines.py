"""Engines by name: what each needs from the store, and what makes its run another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from hypencli.errors import DataError, UsageError, did_you_mean
from hypencli.ops.models import label
from hypencli.ops.scan import choose_scan, refuse_scan, scan_inputs
from hypencli.ops.search_records import ENGINES, VECTOR_INDEXES, SearchOptions
from hypencli.progress import Progress
from hypencli.runtime import resolve_device, resolve_dtype
from hypestore import EmbeddingSet, JsonValue, Manifest, Store

if TYPE_CHECKING:
    from hypencli.engine.corpus import Ordinals
    from hypencli.engine.found import Engine

OpenEngine: TypeAlias = Callable[[Sequence[str]], "Engine"]
"""Gives the engine for a batch of queries, by their ids."""


Planner: TypeAlias = Callable[[Store, Manifest, SearchOptions], "EnginePlan"]


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """An engine that was chosen and not opened yet.

    Attributes:
        inputs: What else than the model, embeddings and queries determines its run.
        parents: Ids of what it reads.
        slug: How its runs are called, for people.
        open: Opens it, once for all batches: reads graphs, builds indexes.
        for_q_nets: Whether it searches with q-nets, with query vectors, or (None) with either.
    """

    slug: str
    inputs: Mapping[str, JsonValue]
    parents: tuple[str, ...]
    open: Callable[[EmbeddingSet, Progress], OpenEngine]
    for_q_nets: bool | None = None


def plan_engine(
    store: Store, model: Manifest, embeddings: Manifest, options: SearchOptions
) -> EnginePlan:
    """Choose an engine, without reading more than manifests.

    Raises:
        UsageError: There is no engine of that name, it is not for this model, or what it needs is
            not in the store.
    """
    if options.index and options.engine not in VECTOR_INDEXES:
        raise UsageError(
            f"{options.index[0][0]} is a parameter of a vector index; this engine is "
            f"{options.engine}.",
            hint=f"Search with one of {', '.join(VECTOR_INDEXES)}",
        )
    if options.recall is not None:
        return _calibrated(store, model, embeddings, options)
    refuse_scan(options)
    planners: dict[str, Planner] = {
        "exact": partial(_exact, has_q_nets(model)),
        "graph": _graph,
        "guided": _guided,
        "rerank": _rerank,
    }
    if options.engine not in ENGINES:
        raise UsageError(
            f"There is no engine {options.engine!r}.", hint=did_you_mean(options.engine, ENGINES)
        )
    plan = planners.get(options.engine, _index)(store, embeddings, options)
    _refuse_wrong_queries(plan, model)
    return plan


def _refuse_wrong_queries(plan: EnginePlan, model: Manifest) -> None:
    if plan.for_q_nets is None or plan.for_q_nets == has_q_nets(model):
        return
    if plan.for_q_nets:
        raise UsageError(
            f"The engine {plan.slug} searches with q-nets; {label(model)} is a bi-encoder.",
            hint="Use --engine exact or a vector index (hnsw, faiss-flat), or name a Hypencoder: "
            "hype ls models",
        )
    raise UsageError(
        f"The engine {plan.slug} searches with query vectors; {label(model)} makes q-nets.",
        hint="Use --engine exact, graph or guided, or name a bi-encoder: hype ls models",
    )


def _calibrated(
    store: Store, model: Manifest, embeddings: Manifest, options: SearchOptions
) -> EnginePlan:
    """The engine at the setting that has the recall asked for."""
    from hypencli.ops.calibrate import choose_setting, with_setting

    if options.engine not in ("guided", "graph"):
        raise UsageError(
            f"The engine {options.engine} has no calibration.",
            hint="--recall is for the engines guided and graph",
        )
    chosen = choose_setting(store, model, embeddings, options)
    plan = plan_engine(
        store, model, embeddings, replace(with_setting(options, chosen.setting), recall=None)
    )
    inputs = {**plan.inputs, "calibration": chosen.calibration, "recall": options.recall}
    return replace(plan, inputs=inputs, parents=(*plan.parents, chosen.calibration))


def has_q_nets(model: Manifest) -> bool:
    """Whether the queries of a model become q-nets; else they are vectors."""
    return model.stats["architecture"] == "HypencoderDualEncoder"


def _exact(q_nets: bool, store: Store, embeddings: Manifest, options: SearchOptions) -> EnginePlan:
    def open_exact(corpus: EmbeddingSet, progress: Progress) -> OpenEngine:
        from hypencli.engine.certified import CertifiedEngine
        from hypencli.engine.exact import ExactEngine

        device = resolve_device(options.device)
        scan = choose_scan(store, options, n=corpus.n, dim=corpus.dim, q_nets=q_nets)
        engine: Engine = (
            ExactEngine(corpus, device=device, dtype=resolve_dtype(options.dtype))
            if scan is None
            else CertifiedEngine(corpus, scan, device=device)
        )
        return lambda query_ids: engine

    return EnginePlan("exact", scan_inputs(options), (), open_exact)


def _graph(store: Store, embeddings: Manifest, options: SearchOptions) -> EnginePlan:
    from hypencli.engine.graph import WalkOptions
    from hypencli.ops.graph import find_graph

    walk = options.walk or WalkOptions()
    graph = find_graph(store, embeddings.id, k=walk.neighbours or 1, named=options.graph)

    def open_graph(corpus: EmbeddingSet, progress: Progress) -> OpenEngine:
        from hypencli.engine.graph import GraphEngine

        engine = GraphEngine(
            corpus,
            store.graph(graph.id).neighbours,
            walk,
            device=resolve_device(options.device),
            dtype=resolve_dtype(options.dtype),
        )
        return lambda query_ids: engine

    return EnginePlan("graph", {"graph": graph.id, **asdict(walk)}, (graph.id,), open_graph)


def _guided(store: Store, embeddings: Manifest, options: SearchOptions) -> EnginePlan:
    from hypencli.engine.guided import GuidedOptions

    guide = options.guide or GuidedOptions()
    # One more where the query's own document is left out.
    wanted = options.k + options.exclude_same_id
    if guide.budget is not None and guide.budget < wanted:
        raise UsageError(
            f"A budget of {guide.budget} evaluations cannot rank {wanted} documents.",
            hint=f"Raise it to {wanted}, or ask for fewer documents with --k",
        )

    def open_guided(corpus: EmbeddingSet, progress: Progress) -> OpenEngine:
        from hypencli.engine.guided import GuidedEngine

        engine = GuidedEngine(
            corpus, guide, device=resolve_device(options.device), dtype=resolve_dtype(options.dtype)
        )
        return lambda query_ids: engine

    return EnginePlan("guided", asdict(guide), (), open_guided)


def _rerank(store: Store, embeddings: Manifest, options: SearchOptions) -> EnginePlan:
    if options.rerank is None:
        raise UsageError("Which run is to be reranked?", hint="Name it: hype search --rerank RUN")
    first = store.get(options.rerank, kind="run")

    def open_rerank(corpus: EmbeddingSet, progress: Progress) -> OpenEngine:
        from hypencli.engine.rerank import RerankEngine

        found = store.run(first.id).by_query()

        def of_queries(query_ids: Sequence[str]) -> Engine:
            lists = [found.doc_ids(query_id) for query_id in query_ids]
            return RerankEngine(
                corpus,
                [_known(corpus, ids, first) for ids in lists],
                device=resolve_device(options.device),
                dtype=resolve_dtype(options.dtype),
            )

        return of_queries

    return EnginePlan("rerank", {"rerank": first.id}, (first.id,), open_rerank)


def _known(corpus: EmbeddingSet, doc_ids: list[str], run: Manifest) -> Ordinals:
    """The places of documents, all of which the embedding set must have."""
    ordinals = corpus.ordinals(doc_ids)
    missing = [doc_id for doc_id, place in zip(doc_ids, ordinals, strict=True) if place < 0]
    if missing:
        raise DataError(
            f"The run {label(run)} ranks {missing[0]!r}, which is not in the embedding set "
            f"{label(corpus.manifest)} ({len(missing)} such documents for one query).",
            hint="Rerank a run of the same corpus, or name its embeddings: --embeddings ID",
        )
    return ordinals


def _index(store: Store, embeddings: Manifest, options: SearchOptions) -> EnginePlan:
    from hypencli.engine.index_library import hnsw_library
    from hypencli.engine.index_spec import IndexSpec

    by_faiss = options.engine == "hnsw" and hnsw_library() == "faiss"
    kind = "faiss-hnsw" if by_faiss else options.engine
    spec = IndexSpec(kind, dict(options.index))

    def open_vector_index(corpus: EmbeddingSet, progress: Progress) -> OpenEngine:
        from hypencli.engine.index_search import IndexEngine
        from hypencli.ops.vector_index import open_index

        if by_faiss:
            progress.message("hnswlib is not installed: the engine is faiss-hnsw, HNSW by faiss")
        engine = IndexEngine(corpus, open_index(store, corpus, spec, progress).index)
        return lambda query_ids: engine

    # The graphs of the two libraries differ, so a run says which one made its index.
    inputs = {"engine": kind, **spec.options}
    return EnginePlan(kind, inputs, (), open_vector_index, for_q_nets=False)
