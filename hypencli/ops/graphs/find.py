"""Look-up of the neighbour graph for a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypencli.errors import UsageError
from hypencli.ops.models import display_name
from hypestore import Manifest, Store

if TYPE_CHECKING:
    from hypencli.engine.neighbours.similarity import Metric


def find_graph(
    store: Store,
    embeddings_id: str,
    *,
    k: int,
    metric: Metric | None = None,
    named: str | None = None,
) -> Manifest:
    """Find a graph of an embedding set with at least ``k`` neighbours per document.

    Exact graphs come first, then graphs with higher recall, then newer ones.

    Args:
        store: The project store.
        embeddings_id: Id of the embedding set.
        k: Required number of neighbours per document.
        metric: Required metric. None accepts any, if all graphs have the same one.
        named: Name or id of the graph.

    Raises:
        UsageError: No graph fits, the graph named does not fit, or graphs of several metrics fit.
            The hint has a command that builds one.
        ArtifactNotFound: The store has no graph with the name or id.
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
            f"The embedding set {embeddings_id} has {state}{of_metric}; {k} are required.",
            hint=f"Build one: {command}",
        )
    metrics = {str(graph.inputs.get("metric")) for graph in fitting}
    if len(metrics) > 1:
        listed = ", ".join(f"{display_name(one)} ({one.inputs.get('metric')})" for one in fitting)
        raise UsageError(
            f"Several graphs of the embedding set {embeddings_id} fit: {listed}.",
            hint="Name the graph or its metric.",
        )
    return max(fitting, key=_preference)


def _named_graph(
    store: Store, embeddings_id: str, k: int, metric: Metric | None, named: str, command: str
) -> Manifest:
    graph = store.get(named, kind="graph")
    if graph.inputs.get("embeddings") != embeddings_id:
        raise UsageError(
            f"The graph {display_name(graph)} belongs to the embedding set "
            f"{graph.inputs.get('embeddings')}, not to {embeddings_id}.",
            hint=f"Build one for this set: {command}",
        )
    if width(graph) < k or metric not in (None, graph.inputs.get("metric")):
        wanted = f"{k} neighbours a document" + (f" by {metric}" if metric else "")
        raise UsageError(
            f"The graph {display_name(graph)} has {width(graph)} neighbours a document by "
            f"{graph.inputs.get('metric')}; {wanted} are required.",
            hint=f"Build one: {command}",
        )
    return graph


def width(graph: Manifest) -> int:
    """Return the number of neighbours per document of a graph."""
    return graph.input_int("k")


def recall_of(graph: Manifest) -> float | None:
    """Return the measured recall of a graph, from 0 to 1; None if it was not measured."""
    measured = graph.stats.get("recall")
    return float(str(measured["value"])) if isinstance(measured, dict) else None


def _preference(graph: Manifest) -> tuple[bool, float, int, str]:
    exact = graph.inputs.get("builder") == "exact" and recall_of(graph) is None
    return exact, recall_of(graph) or 0.0, graph.order, graph.created.isoformat()
