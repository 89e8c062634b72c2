"""Paired comparison of two runs on the same judgements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypencli.errors import UsageError
from hypencli.ops.content_names import JudgementNames, judgements_key
from hypencli.ops.evaluation.judged import JudgedRun, common_measures, judged_by, with_judgements
from hypencli.ops.models import display_name
from hypencli.records import PairedTest
from hypencli.tabular import Row, Tabular
from hypestore import Store


@dataclass(frozen=True, slots=True)
class Comparison(Tabular):
    """Paired tests of two runs on the same judgements.

    Attributes:
        run_a: Name or id of the first run.
        run_b: Name or id of the second run.
        qrels: Name of the judgements, as in the leaderboard.
        n_queries: Number of judged queries for which both runs have a value.
        tests: One test per measure: means, difference (B minus A), wins, losses, ties, p-values.
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
    """Compare two runs query by query, on judgements that both were evaluated with.

    Args:
        store: The project store.
        run_a: Id, unique prefix, or name of the first run.
        run_b: Id, unique prefix, or name of the second run. A win is a query on which it scores
            higher.
        measures: Measures to compare, in this order. Empty selects all that both runs have.
        qrels: Name of the judgements in the leaderboard, or their id. None selects the newest that
            both runs were evaluated with.

    Raises:
        UsageError: The runs share no judgements, or none of the measures.
    """
    return compare_judged(*judged_pair(store, run_a, run_b, qrels=qrels), measures)


def compare_with_first(
    store: Store,
    runs: Sequence[str],
    *,
    measures: tuple[str, ...] = (),
    qrels: str | None = None,
) -> list[Comparison]:
    """Compare every other run with the first run, which is A in each comparison.

    Args:
        store: The project store.
        runs: At least two runs, by id, unique prefix, or name.
        measures: Measures to compare, in this order. Empty selects all that both runs have.
        qrels: Name of the judgements in the leaderboard, or their id. None selects the newest that
            both runs were evaluated with.

    Returns:
        One comparison for each run after the first.

    Raises:
        UsageError: There are fewer than two runs, or a run cannot be compared with the first.
    """
    if len(runs) < 2:
        raise UsageError(
            f"A comparison needs at least two runs, not {len(runs)}.",
            hint="hype compare RUN_A RUN_B",
        )
    first, *others = runs
    return [compare(store, first, other, measures=measures, qrels=qrels) for other in others]


def judged_pair(
    store: Store, run_a: str, run_b: str, *, qrels: str | None = None
) -> tuple[JudgedRun, JudgedRun]:
    """Load two runs with all their values on judgements that both were evaluated with.

    A run may have several evaluations with the same judgements. Their values are merged, and the
    newest value of a measure counts.

    Args:
        store: The project store.
        run_a: Id, unique prefix, or name of the first run.
        run_b: Id, unique prefix, or name of the second run.
        qrels: Name of the judgements in the leaderboard, or their id. None selects the newest that
            both runs were evaluated with.

    Raises:
        UsageError: The runs share no judgements.
    """
    first, second = store.get(run_a, kind="run"), store.get(run_b, kind="run")
    of_first, of_second = store.evaluations(first.id), store.evaluations(second.id)
    keys = {judgements_key(one) for one in of_second}
    shared = {
        key: str(one.inputs.get("qrels"))
        for one in reversed(of_first)
        if (key := judgements_key(one)) in keys
    }
    names = JudgementNames(store)
    wanted = shared.keys() if qrels is None else names.find(qrels)
    for key in shared:
        if key in wanted:
            return (
                judged_by(store, first, with_judgements(of_first, key)),
                judged_by(store, second, with_judgements(of_second, key)),
            )
    lacking = "not evaluated with the same judgements"
    if qrels is not None:
        lacking = f"not both evaluated with the judgements {qrels}"
    commands = f"hype eval {first.id} --qrels QRELS; hype eval {second.id} --qrels QRELS"
    have = ", ".join(names.of(key, qrels_id) for key, qrels_id in shared.items())
    raise UsageError(
        f"The runs {first.id} and {second.id} were {lacking}.",
        hint=f"They were with: {have}. Else: {commands}" if have else commands,
    )


def compare_judged(a: JudgedRun, b: JudgedRun, measures: tuple[str, ...] = ()) -> Comparison:
    """Compare two runs whose values are in memory.

    Args:
        a: The first run.
        b: The second run, with values on the same judgements.
        measures: Measures to compare, in this order. Empty selects all that both runs have.

    Raises:
        UsageError: The runs share none of the measures.
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
    """Summarise in one sentence where the randomisation test favours run B or run A.

    Args:
        comparison: Paired tests with p-values corrected over the measures.
        level: Significance level: a difference counts if its corrected p-value is lower.
    """
    measures: dict[str, list[str]] = {"better": [], "worse": []}
    for test in comparison.tests:
        if test.corrected["randomisation"] < level:
            measures["better" if test.difference > 0 else "worse"].append(test.measure)
    parts = [f"{how} on {', '.join(names)}" for how, names in measures.items() if names]
    if not parts:
        return f"No difference between {comparison.run_a} and {comparison.run_b} is significant."
    result = " and ".join(parts)
    return f"{comparison.run_b} is significantly {result} than {comparison.run_a} (p < {level})."
