"""Which neighbour graph a search walks, and what is known of it."""

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
            f"The graph {display_name(graph)} is of the embedding set "
            f"{graph.inputs.get('embeddings')}, "
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
    return graph.input_int("k")


def recall_of(graph: Manifest) -> float | None:
    """The measured recall of a graph; None where it was not measured."""
    measured = graph.stats.get("recall")
    return float(str(measured["value"])) if isinstance(measured, dict) else None


def _preference(graph: Manifest) -> tuple[bool, float, str]:
    exact = graph.inputs.get("builder") == "exact" and recall_of(graph) is None
    return exact, recall_of(graph) or 0.0, graph.created.isoformat()
