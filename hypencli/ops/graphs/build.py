"""Builds the neighbour graph of an embedding set, and measures its recall if approximate."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace

from hypencli.errors import UsageError, did_you_mean
from hypencli.ops.drafts import NameNotGiven, discard_on_error, find_finished, name_not_given
from hypencli.ops.graphs.builder import GraphBuilder, GraphWork
from hypencli.ops.graphs.find import find_graph, recall_of, width
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.graphs.registry import (
    AUTO,
    automatic,
    builder_class,
    builder_names,
    installed_name,
    make_builder,
)
from hypencli.ops.graphs.sample import NeighbourSample
from hypencli.ops.models import display_name
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance, resolve_device
from hypencli.tabular import NotebookRecord
from hypestore import SCRATCH_NAME, EmbeddingSet, GraphDraft, JsonValue, Manifest, Store

LOW_RECALL = 0.95
"""A graph with a lower recall gets a warning."""


@dataclass(frozen=True, slots=True)
class BuiltGraph(NotebookRecord):
    """A neighbour graph of the store.

    Attributes:
        graph: Id of the graph.
        name: Name of the graph, if it has one.
        embeddings: Name or id of the embedding set.
        corpus: Id of the corpus.
        n_documents: Number of documents.
        k: Neighbours per document.
        metric: Similarity or distance: ``l2``, ``ip`` or ``cos``; None if unknown.
        builder: Name of the builder.
        n_edges: Number of neighbours of all documents.
        existing: Whether the store had the graph before this call.
        recall: Share of the exact neighbours, measured on a sample; None for an exact graph.
        advice: Options that raise the recall, if it is low.
        seconds: Time in seconds of the last process that worked on the graph.
        name_not_given: A requested name that an existing graph did not get.
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
    """Find the nearest neighbours of every document of an embedding set, and store them.

    An existing graph is not built again. An exact build that was interrupted resumes where it was
    last saved, and its result is the same.

    Args:
        store: The project store.
        embeddings: The embedding set.
        options: How to build.
        progress: Where to report.

    Raises:
        UsageError: ``k`` or the name of a metric, builder or option is wrong, or the builder does
            not support the metric.
        MissingDependencyError: The package of the builder is not installed.
        ModelError: A vector is too long for float32 (names the document), or the device does not
            exist.
        StoreError: Another process builds the same graph, or the disk is full.
    """
    options = options or GraphOptions()
    _check(options)
    opened = store.embeddings(embeddings.id)
    name, builder = _choose_builder(opened, options, progress)
    base_name = f"{embeddings.id.rpartition('-')[0]}-{options.metric}-k{options.k}"
    base_name += "" if name == "exact" else f"-{name}"
    inputs = _inputs(name, builder, options)
    with store.graph_draft(
        embeddings.id, base_name, inputs, k=options.k, name=options.name
    ) as draft:
        if draft.existing is not None:
            outcome = _outcome(draft.existing, embeddings, existing=True)
            unnamed = name_not_given(store, draft.existing, options.name)
            return replace(outcome, name_not_given=unnamed)
        with discard_on_error(draft):
            progress.message(
                f"{name} neighbours of {opened.n:,} documents of {display_name(embeddings)}: "
                f"{draft.id}"
            )
            done = _build(draft, opened, builder, options, progress)
    return _outcome(done, embeddings)


def existing_graph(store: Store, embeddings: Manifest, options: GraphOptions) -> Manifest | None:
    """Find a graph that makes a new one unnecessary; None if the store has none.

    For the builder ``auto``, any graph with enough neighbours fits. For a builder by name, only the
    graph that :func:`build_graph` would return fits.
    """
    if options.builder == "auto":
        try:
            return find_graph(store, embeddings.id, k=options.k, metric=options.metric)
        except UsageError:
            return None
    name = installed_name(options.builder)
    inputs = _inputs(name, make_builder(name, options.options, seed=options.seed), options)
    return find_finished(store, "graph", {**inputs, "embeddings": embeddings.id, "k": options.k})


def _check(options: GraphOptions) -> None:
    from hypencli.engine.neighbours.similarity import METRICS

    if options.metric not in METRICS:
        raise UsageError(
            f"There is no metric {options.metric!r}.", hint=did_you_mean(options.metric, METRICS)
        )
    if options.k < 1:
        raise UsageError(f"k is {options.k}; it must be at least 1.")


def _choose_builder(
    corpus: EmbeddingSet, options: GraphOptions, progress: Progress
) -> tuple[str, GraphBuilder]:
    """Return name and instance of the builder. ``auto`` is resolved to a shipped builder."""
    name = options.builder
    if name == AUTO:
        name = automatic(corpus, options.metric, options.device)
        progress.message(f"builder: {name} ({corpus.n:,} documents)")
    elif (installed := installed_name(name)) != name:
        progress.message(f"{builder_class(name).package} is missing: the builder is {installed}")
        name = installed
    return name, make_builder(name, options.options, seed=options.seed)


def _inputs(name: str, builder: GraphBuilder, options: GraphOptions) -> dict[str, JsonValue]:
    """Return the inputs that determine the neighbours, besides the embedding set and k."""
    return {"metric": options.metric, "builder": name, **asdict(builder)}


def _build(
    draft: GraphDraft,
    corpus: EmbeddingSet,
    builder: GraphBuilder,
    options: GraphOptions,
    progress: Progress,
) -> Manifest:
    from hypencli.engine.corpus import refuse_beyond_float32

    work = GraphWork(
        corpus=corpus,
        metric=options.metric,
        k=draft.k,
        device=resolve_device(options.device),
        scratch=draft.path / SCRATCH_NAME,
        progress=progress,
    )
    refuse_beyond_float32(corpus)
    draft.require_space(_bytes_of_build(draft, builder))
    sample = NeighbourSample(corpus.n, k=options.k, seed=options.seed)
    started = time.perf_counter()
    draft.write(sample.watch(builder.build(work)))
    seconds = {"building": time.perf_counter() - started}
    stats: dict[str, object] = {"seconds": seconds}
    if not builder.is_exact:
        started = time.perf_counter()
        stats["recall"] = sample.recall(corpus, options.metric, work.device, progress)
        seconds["recall"] = time.perf_counter() - started
    seed = getattr(builder, "seed", None)
    return draft.commit(stats=stats, provenance=provenance(seed=seed, device=str(work.device)))


def _bytes_of_build(draft: GraphDraft, builder: GraphBuilder) -> int:
    """Estimate the bytes that a build still writes: ordinals, and the state for a resumption."""
    ordinals = 4 * draft.n * draft.k
    state = builder.bytes_to_save(draft.n, draft.k)
    # A new state is written beside the last one, which is then deleted.
    return state if state and (draft.path / SCRATCH_NAME).exists() else ordinals + state


def _outcome(graph: Manifest, embeddings: Manifest, *, existing: bool = False) -> BuiltGraph:
    builder, recall = str(graph.inputs["builder"]), recall_of(graph)
    metric = graph.inputs.get("metric")
    times = graph.stats.get("seconds")
    return BuiltGraph(
        graph=graph.id,
        name=graph.name,
        embeddings=display_name(embeddings),
        corpus=str(embeddings.inputs.get("corpus")),
        n_documents=graph.stat_int("n_documents"),
        k=width(graph),
        metric=None if metric is None else str(metric),
        builder=builder,
        n_edges=graph.stat_int("n_edges"),
        existing=existing,
        recall=recall,
        advice=None if recall is None or recall >= LOW_RECALL else _advice(builder),
        seconds=sum(map(float, map(str, times.values()))) if isinstance(times, dict) else 0.0,
    )


def _advice(builder: str) -> str:
    """Return options that raise the recall, in words that follow "to find more,"."""
    kind = builder_class(builder) if builder in builder_names() else GraphBuilder
    return kind.advice
