"""Runs side by side, query by query, on the same judgements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypencli.errors import UsageError
from hypencli.ops.evaluation.judged import JudgedRun, common_measures, judged_by
from hypencli.ops.models import display_name
from hypencli.records import PairedTest
from hypencli.tabular import Row, Tabular
from hypestore import Manifest, Store


@dataclass(frozen=True, slots=True)
class Comparison(Tabular):
    """Two runs on the same judgements.

    Attributes:
        tests: One a measure: means, difference (B minus A), wins, losses, ties, p-values.
        n_queries: Judged queries that both have a value for.
    """

    run_a: str
    run_b: str
    qrels: str
    n_queries: int
    tests: tuple[PairedTest, ...]

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        names = [] if not self.tests else list(self.tests[0].corrected)
        columns = ("measure", "mean_a", "mean_b", "difference", "wins", "losses", "ties")
        rows = [
            (
                *(getattr(test, column) for column in columns),
                *(test.corrected[name] for name in names),
            )
            for test in self.tests
        ]
        return (*columns, *(f"p_{name}" for name in names)), rows

    def _title(self) -> str:
        return f"A: {self.run_a}, B: {self.run_b}, on {self.qrels}, {self.n_queries} queries"


def compare(
    store: Store,
    run_a: str,
    run_b: str,
    *,
    measures: tuple[str, ...] = (),
    qrels: str | None = None,
) -> Comparison:
    """Two runs side by side, query by query, on judgements that both were evaluated with.

    Args:
        store: The project store.
        run_a: Id, unique prefix, or name of the first run.
        run_b: The second run; a win is its.
        measures: Which measures, in this order; empty takes all that both runs have.
        qrels: Id of the judgements; None takes the newest that both were evaluated with.

    Raises:
        UsageError: There are no judgements that both were evaluated with, or no such measure.
    """
    return compare_judged(*judged_pair(store, run_a, run_b, qrels=qrels), measures)


def compare_with_first(
    store: Store,
    runs: Sequence[str],
    *,
    measures: tuple[str, ...] = (),
    qrels: str | None = None,
) -> list[Comparison]:
    """Every run but the first, each side by side with the first, which is A.

    Args:
        store: The project store.
        runs: Two runs or more.
        measures: As for :func:`compare`.
        qrels: As for :func:`compare`.

    Raises:
        UsageError: Fewer than two runs are named, or two of them cannot be compared.
    """
    if len(runs) < 2:
        raise UsageError(
            "A comparison takes two runs or more; "
            + (f"only {runs[0]} is named." if runs else "none is named."),
            hint="hype compare RUN_A RUN_B",
        )
    first, *others = runs
    return [compare(store, first, other, measures=measures, qrels=qrels) for other in others]


def judged_pair(
    store: Store, run_a: str, run_b: str, *, qrels: str | None = None
) -> tuple[JudgedRun, JudgedRun]:
    """Two runs with the values of their newest evaluations on the same judgements.

    Args:
        store: The project store.
        run_a: Id, unique prefix, or name of the first run.
        run_b: The second run.
        qrels: Id of the judgements; None takes the newest that both were evaluated with.

    Raises:
        UsageError: There are no judgements that both were evaluated with.
    """
    first, second = store.get(run_a, kind="run"), store.get(run_b, kind="run")
    of_first, of_second = _common_evaluations(store, first, second, qrels)
    return judged_by(store, first, [of_first]), judged_by(store, second, [of_second])


def _common_evaluations(
    store: Store, first: Manifest, second: Manifest, qrels: str | None
) -> tuple[Manifest, Manifest]:
    of_second = store.evaluations(second.id)
    for one in reversed(store.evaluations(first.id)):
        if qrels is not None and one.inputs["qrels"] != qrels:
            continue
        for other in reversed(of_second):
            if one.inputs["qrels_fingerprint"] == other.inputs["qrels_fingerprint"]:
                return one, other
    raise UsageError(
        f"The runs {first.id} and {second.id} were not evaluated with the same judgements.",
        hint=f"hype eval {first.id} --qrels QRELS; hype eval {second.id} --qrels QRELS",
    )


def compare_judged(a: JudgedRun, b: JudgedRun, measures: tuple[str, ...] = ()) -> Comparison:
    """Two runs side by side, from values that are read already.

    Args:
        a: The first run.
        b: The second run, on the same judgements; a win is its.
        measures: As for :func:`compare`.

    Raises:
        UsageError: There is no such measure that both runs have.
    """
    from hypencli.evaluation import measures as library

    tests = library.compare(a.evaluation, b.evaluation, common_measures((a, b), measures))
    return Comparison(
        run_a=display_name(a.run),
        run_b=display_name(b.run),
        qrels=a.qrels,
        n_queries=max((test.n_queries for test in tests), default=0),
        tests=tuple(tests),
    )


def verdict(comparison: Comparison, level: float = 0.05) -> str:
    """What the randomisation test says, in a sentence: where B is better, worse, or neither."""
    sorted_out: dict[str, list[str]] = {"better": [], "worse": []}
    for test in comparison.tests:
        if test.corrected["randomisation"] < level:
            sorted_out["better" if test.difference > 0 else "worse"].append(test.measure)
    said = [f"{how} on {', '.join(names)}" for how, names in sorted_out.items() if names]
    if not said:
        return f"No difference between {comparison.run_a} and {comparison.run_b} is significant."
    verdict = " and ".join(said)
    return f"{comparison.run_b} is significantly {verdict} than {comparison.run_a} (p < {level})."
