"""Measures of a run, averaged by folds of its queries."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.folds import read_folds
from hypencli.errors import DataError
from hypencli.ops.evaluation.judged import values_by_measure
from hypencli.ops.evaluation.run import Evaluated
from hypestore import Store


@dataclass(frozen=True, slots=True)
class Folded:
    """Measures by folds.

    Attributes:
        folds: Fold -> measure -> mean over its judged queries.
        queries: Fold -> number of judged queries.
        means: Measure -> mean over the folds. Every fold has the same weight.
        outside: Number of judged queries in no fold. They are left out.
        unjudged: Number of queries in the folds without judgements. They are left out.
    """

    folds: dict[str, dict[str, float]]
    queries: dict[str, int]
    means: dict[str, float]
    outside: int
    unjudged: int


@dataclass(frozen=True, slots=True)
class EvaluatedInFolds:
    """Measures of one run over all queries and by folds."""

    evaluated: Evaluated
    by_folds: Folded


def fold(store: Store, evaluated: Evaluated, path: Path) -> EvaluatedInFolds:
    """Average the values per query of an evaluation over the folds of a file.

    Args:
        store: The project store.
        evaluated: The evaluation.
        path: File of folds; see :func:`hypencli.data.folds.read_folds`.

    Raises:
        DataError: The file holds no folds, or a fold has no judged query.
    """
    folds = read_folds(path)
    by_measure = values_by_measure(store, evaluated.evaluation)
    values = {measure: by_measure[measure] for measure in evaluated.aggregates}
    judged = set(next(iter(values.values()), {}))
    means: dict[str, dict[str, float]] = {}
    for name, queries in folds.items():
        if judged.isdisjoint(queries):
            raise DataError(
                f"{path}: no query of fold {name!r} is judged by {evaluated.qrels}.",
                hint="Are these the folds of another query set?",
            )
        means[name] = {
            measure: statistics.fmean(by_query[query] for query in queries if query in by_query)
            for measure, by_query in values.items()
        }
    inside = {query for queries in folds.values() for query in queries}
    folded = Folded(
        folds=means,
        queries={name: len(judged.intersection(queries)) for name, queries in folds.items()},
        means={
            measure: statistics.fmean(of_fold[measure] for of_fold in means.values())
            for measure in values
        },
        outside=len(judged - inside),
        unjudged=len(inside - judged),
    )
    return EvaluatedInFolds(evaluated, folded)
