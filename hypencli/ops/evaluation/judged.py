"""What is known of a run on one set of judgements, whatever number of evaluations that lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypencli.errors import UsageError
from hypencli.ops.models import display_name
from hypencli.records import Evaluation
from hypestore import Manifest, Store


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run with its values on one set of judgements.

    Attributes:
        run: Its manifest.
        qrels: What the judgements are called.
        fingerprint: Hash of the judgements.
        evaluation: All measures it has on them; the newest value of each.
    """

    run: Manifest
    qrels: str
    fingerprint: str
    evaluation: Evaluation


def judged_run(
    store: Store, run: str, *, measures: tuple[str, ...] = (), fingerprint: str | None = None
) -> JudgedRun:
    """A run with its values on the judgements that it was last measured with.

    Args:
        store: The project store.
        run: Id, unique prefix, or name.
        measures: What it was to be measured with; none means anything but a measure of two runs.
        fingerprint: Of the judgements to take, where they are to be those of another run.

    Raises:
        UsageError: It was not measured so.
    """
    manifest = store.get(run, kind="run")
    fitting = [
        one
        for one in store.evaluations(manifest.id)
        if fingerprint in (None, one.inputs["qrels_fingerprint"]) and _has(store, one, measures)
    ]
    if not fitting:
        raise UsageError(
            f"The run {display_name(manifest)} was not measured"
            + (f" with {' or '.join(measures)}" if measures else "")
            + ("." if fingerprint is None else ", on the same judgements."),
            hint=f"hype eval {display_name(manifest)} --qrels FILE_OR_DATASET"
            + (f' --measures "{", ".join(measures)}"' if measures else ""),
        )
    newest = fitting[-1].inputs
    measured_here = [
        one for one in fitting if one.inputs["qrels_fingerprint"] == newest["qrels_fingerprint"]
    ]
    return judged_by(store, manifest, measured_here)


def _has(store: Store, evaluation: Manifest, measures: tuple[str, ...]) -> bool:
    if not measures:
        return len(evaluation.parents) == 1
    return not store.aggregates(evaluation.id).keys().isdisjoint(measures)


def judged_by(store: Store, run: Manifest, evaluations: Sequence[Manifest]) -> JudgedRun:
    """A run with the values of some of its evaluations.

    Args:
        store: The project store.
        run: The run.
        evaluations: One or more, on the same judgements; a later value replaces an earlier one.
    """
    aggregates: dict[str, float] = {}
    per_query: dict[str, dict[str, float]] = {}
    for one in evaluations:
        aggregates |= store.aggregates(one.id)
        per_query |= values_by_measure(store, one.id)
    newest = evaluations[-1]
    return JudgedRun(
        run=run,
        qrels=str(newest.inputs["qrels"]),
        fingerprint=str(newest.inputs["qrels_fingerprint"]),
        evaluation=Evaluation(aggregates, per_query, newest.stat_int("judged_queries")),
    )


def values_by_measure(store: Store, evaluation: str) -> dict[str, dict[str, float]]:
    """Measure -> query id -> value of one evaluation, by its id."""
    table = store.per_query(evaluation).to_pydict()
    columns = (table["query_id"], table["measure"], table["value"])
    values: dict[str, dict[str, float]] = {}
    for query_id, measure, value in zip(*columns, strict=True):
        values.setdefault(measure, {})[query_id] = value
    return values


def common_measures(runs: Sequence[JudgedRun], asked: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The measures asked for that every run has; all that every run has where none are asked for.

    Raises:
        UsageError: There are none.
    """
    everywhere = [
        name
        for name in runs[0].evaluation.per_query
        if all(name in run.evaluation.per_query for run in runs)
    ]
    shared = tuple(name for name in asked or everywhere if name in everywhere)
    if not shared:
        raise UsageError(
            "The runs have no measure in common among those asked for.",
            hint=f"Measures that all have: {', '.join(everywhere) or 'none'}",
        )
    return shared
