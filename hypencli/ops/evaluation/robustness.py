"""Robustness: the relative loss of runs of query variants against the original queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypencli.errors import UsageError
from hypencli.escaping import escape_shell
from hypencli.ops.evaluation.judged import JudgedRun, common_measures, judged_run
from hypencli.ops.models import display_name
from hypencli.ops.perturb import variation_of
from hypencli.records import Evaluation
from hypestore import JsonValue, Manifest, Store

_QUERY_KEYS = ("queries", "queries_fingerprint")
"""Inputs of a run that describe its queries."""


@dataclass(frozen=True, slots=True)
class MeasureLoss:
    """Loss of one kind of variation in one measure.

    Attributes:
        measure: Name of the measure.
        base: Mean of the base run over the queries that all runs have.
        variant: Mean of the variants. The value of a query is averaged over the runs of this kind.
        loss: ``(base - variant) / base``; None if the base is 0.
        p: p-value of the paired randomisation test, Holm-corrected over the measures.
    """

    measure: str
    base: float
    variant: float
    loss: float | None
    p: float


@dataclass(frozen=True, slots=True)
class VariationLoss:
    """One kind of variation: its runs, and their loss in each measure."""

    kind: str
    runs: tuple[str, ...]
    n_queries: int
    losses: tuple[MeasureLoss, ...]


@dataclass(frozen=True, slots=True)
class RobustnessLoss:
    """Loss by kind of variation.

    Attributes:
        base: Name or id of the run of the original queries.
        qrels: Name of the judgements.
        measures: Measures compared.
        kinds: One entry per kind, largest loss in the first measure first.
        unmeasured: Runs of variants that have no evaluation on these judgements. They are left out.
    """

    base: str
    qrels: str
    measures: tuple[str, ...]
    kinds: tuple[VariationLoss, ...]
    unmeasured: tuple[str, ...]


def robustness_loss(
    store: Store, base: str, runs: Sequence[str] = (), *, measures: tuple[str, ...] = ()
) -> RobustnessLoss:
    """Compare runs of perturbed queries with a run of the original queries.

    Runs of one kind with several seeds count as one: the value of a query is their mean.

    Args:
        store: The project store.
        base: Run of the original queries, by id, unique prefix, or name.
        runs: Runs of the variants, evaluated on the same judgements. Empty selects all runs that
            differ from the base only in queries made by ``hype perturb``.
        measures: Measures, in this order. The first one sorts the kinds. Empty selects all that
            the runs share.

    Raises:
        UsageError: The store has no run of variants, a run has no evaluation on the judgements, or
            the runs have no measure in common.
    """
    before = judged_run(store, base, measures=measures)
    variants, unmeasured = _variants(store, before, runs, measures)
    if not variants:
        raise _no_variants(before, unmeasured, measures)
    names = common_measures([before, *variants], measures)
    kinds: dict[str, list[JudgedRun]] = {}
    for one in variants:
        kinds.setdefault(_kind(one.run), []).append(one)
    losses = [_kind_loss(kind, before, members, names) for kind, members in kinds.items()]
    losses.sort(key=lambda one: -(one.losses[0].loss or 0.0))
    return RobustnessLoss(
        base=display_name(before.run),
        qrels=before.qrels,
        measures=names,
        kinds=tuple(losses),
        unmeasured=tuple(display_name(run) for run in unmeasured),
    )


def _variants(
    store: Store, base: JudgedRun, runs: Sequence[str], measures: tuple[str, ...]
) -> tuple[list[JudgedRun], list[Manifest]]:
    """Runs of variants with values on the base's judgements, and runs without such values."""
    on = base.fingerprint
    if runs:
        return [judged_run(store, run, measures=measures, fingerprint=on) for run in runs], []
    variants, unmeasured = [], []
    for run in store.artifacts("run"):
        if run.id == base.run.id or not _is_variant(run, base.run):
            continue
        try:
            variants.append(judged_run(store, run.id, measures=measures, fingerprint=on))
        except UsageError:
            unmeasured.append(run)
    return variants, unmeasured


def _is_variant(run: Manifest, base: Manifest) -> bool:
    """Whether a run differs from the base only in queries made by ``hype perturb``."""
    return _variation(run) is not None and _but_queries(run.inputs) == _but_queries(base.inputs)


def _variation(run: Manifest) -> str | None:
    """The kind of variation that the rows of the queries recorded, else the one in their name."""
    recorded = run.stats.get("variation")
    kind = recorded.get("kind") if isinstance(recorded, dict) else None
    return kind if isinstance(kind, str) else variation_of(str(run.inputs.get("queries")))


def _but_queries(inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {key: value for key, value in inputs.items() if key not in _QUERY_KEYS}


def _kind(run: Manifest) -> str:
    """Name of the variation of a run: its kind, else the query set, else the run."""
    queries = run.inputs.get("queries")
    return _variation(run) or (display_name(run) if queries is None else str(queries))


def _no_variants(
    base: JudgedRun, unmeasured: list[Manifest], measures: tuple[str, ...]
) -> UsageError:
    if unmeasured:
        listed = ", ".join(display_name(run) for run in unmeasured)
        kind, _, name = base.qrels_id.partition(":")
        place = escape_shell(name) if kind == "irds" else "QRELS"
        names = f" --measures {escape_shell(', '.join(measures))}" if measures else ""
        with_these = f" with {' or '.join(measures)}" if measures else ""
        return UsageError(
            f"Runs without an evaluation{with_these} on the judgements of "
            f"{display_name(base.run)}, {base.qrels}: {listed}.",
            hint=f"hype eval {escape_shell(display_name(unmeasured[0]))} --qrels {place}{names}. "
            "Or make another evaluation of the base the newest: "
            f"hype eval {escape_shell(display_name(base.run))} --qrels QRELS",
        )
    return UsageError(
        f"No run differs from {display_name(base.run)} only in perturbed queries.",
        hint="Make one: hype perturb QUERIES --kind misspelling; hype search FILE --qrels QRELS. "
        f"Or name runs: hype robustness {escape_shell(display_name(base.run))} RUN",
    )


def _kind_loss(
    kind: str, base: JudgedRun, members: list[JudgedRun], measures: tuple[str, ...]
) -> VariationLoss:
    from hypencli.evaluation import measures as library

    variant = _averaged([member.evaluation for member in members], measures)
    tests = library.compare(base.evaluation, variant, measures)
    return VariationLoss(
        kind=kind,
        runs=tuple(display_name(member.run) for member in members),
        n_queries=max(test.n_queries for test in tests),
        losses=tuple(
            MeasureLoss(
                measure=test.measure,
                base=test.mean_a,
                variant=test.mean_b,
                loss=-test.difference / test.mean_a if test.mean_a else None,
                p=test.corrected["randomisation"],
            )
            for test in tests
        ),
    )


def _averaged(evaluations: list[Evaluation], measures: tuple[str, ...]) -> Evaluation:
    """Average each query over evaluations. Queries that one of them lacks are left out."""
    per_query = {}
    for name in measures:
        columns = [one.per_query[name] for one in evaluations]
        common = set(columns[0]).intersection(*columns[1:])
        per_query[name] = {
            query: sum(column[query] for column in columns) / len(columns)
            for query in sorted(common)
        }
    return Evaluation({}, per_query, evaluations[0].judged_queries)
