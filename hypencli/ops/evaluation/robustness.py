"""What variants of queries cost: the relative loss against the queries as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypencli.errors import UsageError
from hypencli.ops.evaluation.judged import JudgedRun, common_measures, judged_run
from hypencli.ops.models import display_name
from hypencli.ops.perturb import variation_of
from hypencli.records import Evaluation
from hypestore import JsonValue, Manifest, Store

_QUERY_KEYS = ("queries", "queries_fingerprint")
"""Inputs of a run that differ where nothing but the queries does."""


@dataclass(frozen=True, slots=True)
class MeasureLoss:
    """One kind of variation, in one measure.

    Attributes:
        base: Mean of the base run over the queries that all have.
        variant: Mean of the variants, each query's value averaged over the runs of this kind.
        loss: ``(base - variant) / base``; None where the base is 0.
        p: Of the paired randomisation test, Holm-corrected over the measures.
    """

    measure: str
    base: float
    variant: float
    loss: float | None
    p: float


@dataclass(frozen=True, slots=True)
class VariationLoss:
    """One kind of variation: the runs of it, and what they lose in each measure."""

    kind: str
    runs: tuple[str, ...]
    n_queries: int
    losses: tuple[MeasureLoss, ...]


@dataclass(frozen=True, slots=True)
class RobustnessLoss:
    """What each kind of variation costs.

    Attributes:
        kinds: The most costly in the first measure first.
        unmeasured: Runs of variants that were left out, since they lack these judgements.
    """

    base: str
    qrels: str
    measures: tuple[str, ...]
    kinds: tuple[VariationLoss, ...]
    unmeasured: tuple[str, ...]


def robustness_loss(
    store: Store, base: str, runs: Sequence[str] = (), *, measures: tuple[str, ...] = ()
) -> RobustnessLoss:
    """Compare runs of perturbed queries with that of the queries as they were.

    Runs of the same kind (several seeds) count as one: a query has the mean of its values.

    Args:
        store: The project store.
        base: The run of the queries as they were.
        runs: Runs of their variants, measured on the same judgements; none takes all runs that
            differ from the base in nothing but a query set of ``hype perturb``.
        measures: Which measures, the first one sorting; none takes all that the runs share.

    Raises:
        UsageError: There is no run to compare with, one named was not measured, or they have no
            measure in common.
    """
    before = judged_run(store, base, measures=measures)
    variants, unmeasured = _variants(store, before, runs, measures)
    if not variants:
        raise _no_variants(before, unmeasured)
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
    """Runs of variants on the base's judgements, and those that lack them."""
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
    """Whether a run differs in nothing but its queries, which ``hype perturb`` named."""
    named = variation_of(str(run.inputs.get("queries"))) is not None
    return named and _but_queries(run.inputs) == _but_queries(base.inputs)


def _but_queries(inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {key: value for key, value in inputs.items() if key not in _QUERY_KEYS}


def _kind(run: Manifest) -> str:
    """What to call the variation: its kind, else the query set, else the run."""
    queries = run.inputs.get("queries")
    return variation_of(str(queries)) or (display_name(run) if queries is None else str(queries))


def _no_variants(base: JudgedRun, unmeasured: list[Manifest]) -> UsageError:
    if unmeasured:
        listed = ", ".join(display_name(run) for run in unmeasured)
        return UsageError(
            f"The runs of variants were not measured as {display_name(base.run)} was: {listed}.",
            hint=f"hype eval {display_name(unmeasured[0])} --qrels {base.qrels.partition(':')[2]}",
        )
    return UsageError(
        f"There is no run that differs from {display_name(base.run)} in perturbed queries alone.",
        hint="Make one: hype perturb QUERIES --kind misspelling; hype search FILE --qrels QRELS. "
        f"Or name runs: hype robustness {display_name(base.run)} RUN",
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
    """Each query's mean over evaluations that all have it."""
    per_query = {}
    for name in measures:
        columns = [one.per_query[name] for one in evaluations]
        common = set(columns[0]).intersection(*columns[1:])
        per_query[name] = {
            query: sum(column[query] for column in columns) / len(columns)
            for query in sorted(common)
        }
    return Evaluation({}, per_query, evaluations[0].judged_queries)
