"""Values of a run on one set of judgements, merged over its evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypencli.errors import UsageError
from hypencli.escaping import escape_shell
from hypencli.ops.content_names import JudgementNames, judgements_key
from hypencli.ops.models import display_name
from hypencli.records import Evaluation
from hypestore import Manifest, Store


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run with its values on one set of judgements.

    Attributes:
        run: Manifest of the run.
        qrels: Name of the judgements, which no other judgements of the store have.
        qrels_id: Id of the judgements, which others may have too.
        fingerprint: SHA-256 of the judgements; where none is recorded, a key made of their id.
        evaluation: The newest value of every measure that the run has on them.
    """

    run: Manifest
    qrels: str
    qrels_id: str
    fingerprint: str
    evaluation: Evaluation


def judged_run(
    store: Store, run: str, *, measures: tuple[str, ...] = (), fingerprint: str | None = None
) -> JudgedRun:
    """Load a run with its values on the judgements of its newest evaluation.

    Args:
        store: The project store.
        run: Id, unique prefix, or name.
        measures: Only evaluations with one of these measures count. Empty accepts every evaluation
            of a single run.
        fingerprint: ``fingerprint`` of another :class:`JudgedRun`. None accepts any judgements.

    Raises:
        UsageError: The run has no such evaluation.
    """
    manifest = store.get(run, kind="run")
    fitting = [
        one
        for one in store.evaluations(manifest.id)
        if fingerprint in (None, judgements_key(one)) and _has(store, one, measures)
    ]
    if not fitting:
        raise UsageError(
            f"The run {display_name(manifest)} was not measured"
            + (f" with {' or '.join(measures)}" if measures else "")
            + ("." if fingerprint is None else " on the same judgements."),
            hint=f"hype eval {escape_shell(display_name(manifest))} --qrels FILE_OR_DATASET"
            + (f" --measures {escape_shell(', '.join(measures))}" if measures else ""),
        )
    return judged_by(store, manifest, with_judgements(fitting, judgements_key(fitting[-1])))


def _has(store: Store, evaluation: Manifest, measures: tuple[str, ...]) -> bool:
    if not measures:
        return len(evaluation.parents) == 1
    return not store.aggregates(evaluation.id).keys().isdisjoint(measures)


def with_judgements(evaluations: Iterable[Manifest], key: str) -> list[Manifest]:
    """Select the evaluations with the judgements of one key, in their order."""
    return [one for one in evaluations if judgements_key(one) == key]


def judged_by(store: Store, run: Manifest, evaluations: Sequence[Manifest]) -> JudgedRun:
    """Merge the values of some evaluations of a run.

    Args:
        store: The project store.
        run: The run.
        evaluations: At least one evaluation, all on the same judgements. A later value replaces an
            earlier one.
    """
    aggregates: dict[str, float] = {}
    per_query: dict[str, dict[str, float]] = {}
    for one in evaluations:
        aggregates |= store.aggregates(one.id)
        per_query |= values_by_measure(store, one.id)
    newest = evaluations[-1]
    key, qrels_id = judgements_key(newest), str(newest.inputs.get("qrels"))
    return JudgedRun(
        run=run,
        qrels=JudgementNames(store).of(key, qrels_id),
        qrels_id=qrels_id,
        fingerprint=key,
        evaluation=Evaluation(aggregates, per_query, judged_queries(store, newest)),
    )


def judged_queries(store: Store, evaluation: Manifest) -> int:
    """The number of judged queries: as recorded, else of the queries with a value."""
    if "judged_queries" in evaluation.stats:
        return evaluation.stat_int("judged_queries")
    by_measure = values_by_measure(store, evaluation.id)
    return len({query for values in by_measure.values() for query in values})


def values_by_measure(store: Store, evaluation: str) -> dict[str, dict[str, float]]:
    """Read the values of an evaluation: measure -> query id -> value."""
    table = store.per_query(evaluation).to_pydict()
    columns = (table["query_id"], table["measure"], table["value"])
    values: dict[str, dict[str, float]] = {}
    for query_id, measure, value in zip(*columns, strict=True):
        values.setdefault(measure, {})[query_id] = value
    return values


def common_measures(runs: Sequence[JudgedRun], asked: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Select measures that every run has.

    Args:
        runs: At least one run.
        asked: Measures to select from, in this order. Empty selects all that every run has.

    Raises:
        UsageError: No measure is left.
    """
    everywhere = [
        name
        for name in runs[0].evaluation.per_query
        if all(name in run.evaluation.per_query for run in runs)
    ]
    shared = tuple(name for name in asked or everywhere if name in everywhere)
    if not shared:
        raise UsageError(
            "The runs have none of these measures in common.",
            hint=f"Measures that all runs have: {', '.join(everywhere) or 'none'}",
        )
    return shared
