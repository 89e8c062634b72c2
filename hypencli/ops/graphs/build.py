"""Neighbour graphs of embedding sets: made, measured where they are approximate, and found."""

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
"""Below it, a graph comes with a warning."""


@dataclass(frozen=True, slots=True)
class BuiltGraph(NotebookRecord):
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
    """A graph that serves in place of a new one, if the store has it.

    Of the builder ``auto`` that is any graph of enough neighbours; of a builder by name it is the
    graph that :func:`build_graph` would give.
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
        raise UsageError(f"k is {options.k}; a document gets at least 1 neighbour.")


def _choose_builder(
    corpus: EmbeddingSet, options: GraphOptions, progress: Progress
) -> tuple[str, GraphBuilder]:
    """Name and builder; ``auto`` stands for one of the shipped ones."""
    name = options.builder
    if name == AUTO:
        name = automatic(corpus, options.metric, options.device)
        progress.message(f"builder: {name} ({corpus.n:,} documents)")
    elif (installed := installed_name(name)) != name:
        progress.message(f"{builder_class(name).package} is missing: the builder is {installed}")
        name = installed
    return name, make_builder(name, options.options, seed=options.seed)


def _inputs(name: str, builder: GraphBuilder, options: GraphOptions) -> dict[str, JsonValue]:
    """What determines the neighbours, besides the embedding set and k."""
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
    """What a build still takes on disk: ordinals, and what it saves to go on from."""
    ordinals = 4 * draft.n * draft.k
    saving = builder.bytes_to_save(draft.n, draft.k)
    # A new saving is written beside the last one, which makes room then.
    return saving if saving and (draft.path / SCRATCH_NAME).exists() else ordinals + saving


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
    """What finds more of the neighbours, in words that follow "to find more,"."""
    kind = builder_class(builder) if builder in builder_names() else GraphBuilder
    return kind.advice
