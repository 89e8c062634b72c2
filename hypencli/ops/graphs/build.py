"""Neighbour graphs of embedding sets: made, measured where they are approximate, and found."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hypencli.errors import UsageError, did_you_mean
from hypencli.ops.drafts import (
    NameNotGiven,
    discard_on_error,
    find_finished,
    name_not_given,
)
from hypencli.ops.graphs.builders import (
    NeighbourSample,
    builder_inputs,
    bytes_of_build,
    choose_builder,
    neighbour_blocks,
    what_to_raise,
)
from hypencli.ops.graphs.find import find_graph, recall_of, width
from hypencli.ops.graphs.options import BUILDERS, GraphOptions
from hypencli.ops.models import display_name
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance, resolve_device
from hypestore import (
    EmbeddingSet,
    GraphDraft,
    Manifest,
    Store,
)

if TYPE_CHECKING:
    pass


LOW_RECALL = 0.95
"""Below it, a graph comes with a warning."""


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
    inputs = builder_inputs(options.builder, options)
    return find_finished(store, "graph", {**inputs, "embeddings": embeddings.id, "k": options.k})


def _check(options: GraphOptions) -> None:
    from hypencli.engine.neighbours.similarity import METRICS

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
    from hypencli.engine.corpus import refuse_beyond_float32

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
        advice=None if recall is None or recall >= LOW_RECALL else what_to_raise(builder),
        seconds=sum(map(float, map(str, times.values()))) if isinstance(times, dict) else 0.0,
    )
