"""The result of a search: its evaluation, and its description from the manifest of the run."""

from __future__ import annotations

from typing import TypeVar

from pydantic import TypeAdapter

from hypencli.data.queries import QuerySet
from hypencli.engine.seconds import SearchSeconds
from hypencli.ops.evaluation.run import Evaluated, EvaluateOptions, evaluate
from hypencli.ops.models import display_name
from hypencli.ops.search.options import (
    BoundSummary,
    Check,
    CountSummary,
    FirstPassSummary,
    Output,
    Searched,
)
from hypencli.progress import Progress
from hypestore import Manifest, Store

_Record = TypeVar("_Record")


def tell_empty(queries: QuerySet, progress: Progress) -> None:
    """Say which queries have no text: they are ranked, but their rankings mean nothing."""
    empty = [query.query_id for query in queries if not query.text.strip()]
    if empty:
        progress.message(
            f"{len(empty):,} of {len(queries):,} queries of {queries.id} have no text, the first "
            f"is {empty[0]!r:.80}: their rankings mean nothing."
        )


def evaluate_run(
    store: Store,
    run: Manifest,
    queries: QuerySet,
    output: Output,
    progress: Progress,
) -> Evaluated | None:
    """Evaluate a run with the judgements in the options, else with those of the query set."""
    qrels = output.qrels or queries.qrels
    if qrels is None:
        return None
    settings = EvaluateOptions(qrels=qrels, measures=output.measures)
    return evaluate(store, run.id, settings, progress)


def run_outcome(
    run: Manifest, model: Manifest | None, *, existing: bool, evaluation: Evaluated | None
) -> Searched:
    """Describe a run of the store as the result of a search.

    Args:
        run: The run.
        model: The model that made its queries; None for an engine without one.
        existing: Whether the store had the run before the search.
        evaluation: Its measures, if there are judgements.
    """
    return Searched(
        run=run.id,
        name=run.name,
        model=None if model is None else display_name(model),
        embeddings=str(run.inputs["embeddings"]),
        corpus=str(run.inputs["corpus"]),
        queries=str(run.inputs["queries"]),
        engine=str(run.inputs["engine"]),
        k=run.input_int("k"),
        width=run.input_int("width") if "width" in run.inputs else None,
        n_queries=run.stat_int("n_queries"),
        n_documents=run.stat_int("n_documents"),
        n_results=run.stat_int("n_results"),
        query_max_length=_query_length(run),
        n_cut=run.stat_int("n_cut") if "n_cut" in run.stats else None,
        # Runs of earlier versions lack some parts, which are 0 then.
        seconds=_stat(run, "seconds", SearchSeconds) or SearchSeconds(),
        existing=existing,
        evaluations=_stat(run, "evaluations", CountSummary),
        iterations=_stat(run, "iterations", CountSummary),
        recall_bound=_stat(run, "recall_bound", BoundSummary),
        check=_stat(run, "check", Check),
        scan=_stat(run, "scan", FirstPassSummary),
        evaluation=evaluation,
    )


def _query_length(run: Manifest) -> int | None:
    key = "query_max_length"
    return run.input_int(key) if key in run.inputs else None


def _stat(run: Manifest, key: str, kind: type[_Record]) -> _Record | None:
    """Read a record in the stats of a run; None if it is missing."""
    value = run.stats.get(key)
    return None if value is None else TypeAdapter(kind).validate_python(value)
