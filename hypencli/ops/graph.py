"""Neighbour graphs of embedding sets: made, measured where they are approximate, and found."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from hypencli.errors import UsageError, did_you_mean
from hypencli.ops.graph_builders import (
    NeighbourSample,
    builder_inputs,
    bytes_of_build,
    choose_builder,
    neighbour_blocks,
    what_to_raise,
)
from hypencli.ops.models import display_name
from hypencli.ops.names import NameNotGiven, name_not_given
from hypencli.ops.refused import discard_on_error
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance, resolve_device
from hypestore import EmbeddingSet, GraphDraft, Manifest, Store

if TYPE_CHECKING:
    from hypencli.engine.similarity import Metric

Builder: TypeAlias = Literal["auto", "exact", "nn-descent", "hnsw"]
BUILDERS: tuple[Builder, ...] = get_args(Builder)

LOW_RECALL = 0.95
"""Below it, a graph comes with a warning."""


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


@dataclass(frozen=True, slots=True)
class BuiltGraph:
    """A neighbour graph that is there now.

    Attributes:
        graph: Its id.
        embeddings: The embedding set, by name or id.
        k: Neighbours of a document.
        n_edges: Neighbours of all documents together.
        existing: Whether it was there before, and nothing was done.
        recall: Share of the exact neighbours that it has, measured on a sample; None if exact.
        advice: What to raise where the recall is low.
        seconds: Time of the last process that worked on it.
        name_not_given: A name that was asked for and that it does not have, made before.
    """

    graph: str
    name: str | None
    embeddings: str
    corpus: str
    n_documents: int
    k: int
    metric: str | None
    builder: str
    n_edges: int
    existing: bool
    recall: float | None
    advice: str | None
    seconds: float
    name_not_given: NameNotGiven | None = None


def build_graph(
    store: Store,
    embeddings: Manifest,
    options: GraphOptions | None = None,
    progress: Progress = SILENT,
) -> BuiltGraph:
    """Find the nearest neighbours of every document of an embedding set, and keep them.

    The same command again does nothing. An exact build that was stopped by Ctrl-C, SIGTERM or a
    kill goes on from where it was last saved, and its file is the same in the end.

    Raises:
        UsageError: ``k`` or a name among the options is wrong, or the builder cannot do the metric.
        MissingDependencyError: The builder's package is not installed.
        ModelError: A vector is too long for float32 (names the document), or the device is not
            there.
        StoreError: Another process makes the same graph at this moment, or the disk is full.
    """
    options = options or GraphOptions()
    _check(options)
    opened = store.embeddings(embeddings.id)
    builder = choose_builder(opened, options, progress)
    base_name = f"{embeddings.id.rpartition('-')[0]}-{options.metric}-k{options.k}"
    base_name += "" if builder == "exact" else f"-{builder}"
    inputs = builder_inputs(builder, options)
    with store.graph_draft(
        embeddings.id, base_name, inputs, k=options.k, name=options.name
    ) as draft:
        if draft.existing is not None:
            outcome = _outcome(draft.existing, embeddings, existing=True)
            unnamed = name_not_given(store, draft.existing, options.name)
            return replace(outcome, name_not_given=unnamed)
        with discard_on_error(draft):
            done = _build(draft, opened, builder, options, progress)
    return _outcome(done, embeddings)


def _check(options: GraphOptions) -> None:
    from hypencli.engine.similarity import METRICS

    for what, actual, allowed in (
        ("metric", options.metric, METRICS),
        ("builder", options.builder, BUILDERS),
    ):
        if actual not in allowed:
            raise UsageError(f"There is no {what} {actual!r}.", hint=did_you_mean(actual, allowed))
    if options.k < 1:
        raise UsageError(f"k is {options.k}; a document gets at least 1 neighbour.")


def _build(
    draft: GraphDraft,
    corpus: EmbeddingSet,
    builder: str,
    options: GraphOptions,
    progress: Progress,
) -> Manifest:
    from hypencli.engine.lengths import refuse_beyond_float32

    device = resolve_device(options.device)
    named = display_name(corpus.manifest)
    refuse_beyond_float32(corpus)
    progress.message(f"{builder} neighbours of {corpus.n:,} documents of {named}: {draft.id}")
    draft.require_space(bytes_of_build(draft, builder))
    sample = NeighbourSample(corpus.n, k=options.k, seed=options.seed)
    started = time.perf_counter()
    blocks = neighbour_blocks(draft, corpus, builder, options, progress)
    draft.write(sample.watch(blocks))
    seconds = {"building": time.perf_counter() - started}
    stats: dict[str, object] = {"seconds": seconds}
    if builder != "exact" or options.dtype != "float32":
        started = time.perf_counter()
        stats["recall"] = sample.recall(corpus, options.metric, device, progress)
        seconds["recall"] = time.perf_counter() - started
    seed = None if builder == "exact" else options.seed
    return draft.commit(stats=stats, provenance=provenance(seed=seed, device=str(device)))


def find_graph(
    store: Store,
    embeddings_id: str,
    *,
    k: int,
    metric: Metric | None = None,
    named: str | None = None,
) -> Manifest:
    """The graph of an embedding set to search with; one of more neighbours serves for fewer.

    Of several, an exact one is taken before one of higher recall, and that before a newer one.

    Args:
        store: The project store.
        embeddings_id: Id of the embedding set.
        k: Neighbours of a document that are needed.
        metric: What must be near in it; None takes any, where all are of one metric.
        named: The graph, by id or name.

    Raises:
        UsageError: None fits, the one named does not, or several metrics do; says what to run.
        ArtifactNotFound: There is no graph of that name.
    """
    command = f"hype graph {embeddings_id} --k {k}" + (f" --metric {metric}" if metric else "")
    if named is not None:
        return _named_graph(store, embeddings_id, k, metric, named, command)
    existing = [
        graph
        for graph in store.artifacts("graph")
        if graph.inputs.get("embeddings") == embeddings_id
        and (metric is None or graph.inputs.get("metric") == metric)
    ]
    fitting = [graph for graph in existing if width(graph) >= k]
    if not fitting:
        of_metric = "" if metric is None else f" by {metric}"
        widest = max((width(graph) for graph in existing), default=0)
        state = f"at most {widest} neighbours a document" if existing else "no neighbour graph"
        raise UsageError(
            f"The embedding set {embeddings_id} has {state}{of_metric}, and {k} are needed.",
            hint=f"Make one: {command}",
        )
    metrics = {str(graph.inputs.get("metric")) for graph in fitting}
    if len(metrics) > 1:
        listed = ", ".join(f"{display_name(one)} ({one.inputs.get('metric')})" for one in fitting)
        raise UsageError(
            f"Several graphs of the embedding set {embeddings_id} fit: {listed}.",
            hint="Say which, by its name or by its metric.",
        )
    return max(fitting, key=_preference)


def _named_graph(
    store: Store, embeddings_id: str, k: int, metric: Metric | None, named: str, command: str
) -> Manifest:
    graph = store.get(named, kind="graph")
    if graph.inputs.get("embeddings") != embeddings_id:
        raise UsageError(
            f"The graph {display_name(graph)} is of the embedding set {graph.inputs.get('embeddings')}, "
            f"not of {embeddings_id}.",
            hint=f"Make one of this set: {command}",
        )
    if width(graph) < k or metric not in (None, graph.inputs.get("metric")):
        wanted = f"{k} neighbours a document" + (f" by {metric}" if metric else "")
        raise UsageError(
            f"The graph {display_name(graph)} has {width(graph)} neighbours a document by "
            f"{graph.inputs.get('metric')}; {wanted} are needed.",
            hint=f"Make one that has them: {command}",
        )
    return graph


def width(graph: Manifest) -> int:
    """Neighbours of a document in a graph."""
    return int(str(graph.inputs["k"]))


def recall_of(graph: Manifest) -> float | None:
    """The measured recall of a graph; None where it was not measured."""
    measured = graph.stats.get("recall")
    return float(str(measured["value"])) if isinstance(measured, dict) else None


def _preference(graph: Manifest) -> tuple[bool, float, str]:
    exact = graph.inputs.get("builder") == "exact" and recall_of(graph) is None
    return exact, recall_of(graph) or 0.0, graph.created.isoformat()


def _outcome(graph: Manifest, embeddings: Manifest, *, existing: bool = False) -> BuiltGraph:
    builder, recall = str(graph.inputs["builder"]), recall_of(graph)
    metric = graph.inputs.get("metric")
    times = graph.stats.get("seconds")
    return BuiltGraph(
        graph=graph.id,
        name=graph.name,
        embeddings=display_name(embeddings),
        corpus=str(embeddings.inputs.get("corpus")),
        n_documents=int(str(graph.stats["n_documents"])),
        k=width(graph),
        metric=None if metric is None else str(metric),
        builder=builder,
        n_edges=int(str(graph.stats["n_edges"])),
        existing=existing,
        recall=recall,
        advice=None if recall is None or recall >= LOW_RECALL else what_to_raise(builder),
        seconds=sum(map(float, map(str, times.values()))) if isinstance(times, dict) else 0.0,
    )
