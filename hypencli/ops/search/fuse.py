"""Fusion of several runs into a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypencli.errors import UsageError
from hypencli.evaluation.fusion import Fusion
from hypencli.evaluation.fusion import fuse as fuse_rankings
from hypencli.ops.drafts import NameNotGiven, discard_on_error, name_not_given
from hypencli.ops.evaluation.run import Evaluated, EvaluateOptions, evaluate
from hypencli.ops.models import display_name
from hypencli.ops.recorded_places import is_own
from hypencli.ops.search.scoring import append_rankings
from hypencli.own_places import place_seals
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance
from hypestore import JsonValue, Manifest, RunWriter, Store, StoredRun


@dataclass(frozen=True, slots=True)
class Fused:
    """A fused run.

    Attributes:
        run: Id of the run.
        name: Name of the run, if it has one.
        runs: Names or ids of the runs that were fused.
        method: Method of fusion.
        k: Maximum number of results per query.
        n_queries: Number of queries.
        n_results: Number of results of all queries.
        partial_queries: Number of queries without results in one of the runs.
        existing: Whether the store had the run before this call.
        evaluation: Measures, if there are judgements.
        name_not_given: A requested name that an existing run did not get.
    """

    run: str
    name: str | None
    runs: tuple[str, ...]
    method: str
    k: int
    n_queries: int
    n_results: int
    partial_queries: int
    existing: bool
    evaluation: Evaluated | None = None
    name_not_given: NameNotGiven | None = None


def fuse(
    store: Store,
    runs: tuple[str, ...],
    how: Fusion | None = None,
    *,
    name: str | None = None,
    qrels: str | None = None,
    measures: tuple[str, ...] | None = None,
    progress: Progress = SILENT,
) -> Fused:
    """Fuse runs of the same queries over the same corpus, and store the result as a run.

    Args:
        store: The project store.
        runs: At least two runs, by id, unique prefix, or name.
        how: Method and its parameters.
        name: Name of the new run.
        qrels: Judgements for an evaluation. None selects those that the runs have in common.
        measures: Measures of the evaluation. None selects the default set.
        progress: Where to report.

    Raises:
        UsageError: There are fewer than two runs, a run is repeated, or the runs have different
            corpora or no query in common.
    """
    how = how or Fusion()
    members = [store.run(run) for run in runs]
    _refuse_strangers(members)
    manifests = [member.manifest for member in members]
    inputs = _inputs(manifests, how)
    base_name = "-".join(display_name(manifest) for manifest in manifests)
    parents = [manifest.id for manifest in manifests]
    with store.run_writer(
        f"{how.method}-{base_name}", inputs, parents=parents, name=name
    ) as writer:
        existing = writer.existing is not None
        done = writer.existing
        if done is None:
            progress.message(f"fusing {len(members)} runs: {writer.id}")
            with discard_on_error(writer):
                done = _write(writer, members, how)
    judgements = qrels or _recorded(done, progress)
    options = EvaluateOptions(qrels=judgements, measures=measures)
    evaluation = None if judgements is None else evaluate(store, done.id, options, progress)
    return Fused(
        run=done.id,
        name=done.name,
        runs=tuple(display_name(manifest) for manifest in manifests),
        method=how.method,
        k=how.k,
        n_queries=done.stat_int("n_queries"),
        n_results=done.stat_int("n_results"),
        partial_queries=done.stat_int("partial_queries"),
        existing=existing,
        evaluation=evaluation,
        name_not_given=name_not_given(store, done, name),
    )


def _recorded(run: Manifest, progress: Progress) -> str | None:
    """The judgements that this account recorded with a run; a message about those of others."""
    place = run.stats.get("qrels")
    if place is None or is_own(run, "qrels", str(place)):
        return None if place is None else str(place)
    progress.message(f"not evaluated: somebody else recorded the judgements, {place}")
    return None


def _write(writer: RunWriter, members: list[StoredRun], how: Fusion) -> Manifest:
    results = [member.results() for member in members]
    fused = fuse_rankings(results, how)
    texts = _texts(members)
    writer.queries([(query, texts[query]) for query in fused])
    append_rankings(writer, list(fused), list(fused.values()))
    recorded = [(one.manifest, one.manifest.stats.get("qrels")) for one in members]
    qrels = _shared([place for _, place in recorded])
    own = all(is_own(run, "qrels", str(place)) for run, place in recorded if place is not None)
    seals = place_seals(qrels=str(qrels)) if own and qrels is not None else {}
    partial = sum(any(not run.get(query) for run in results) for query in fused)
    stats = {"partial_queries": partial, "qrels": qrels}
    return writer.commit(stats=stats, provenance={**provenance(), **seals})


def _refuse_strangers(members: list[StoredRun]) -> None:
    manifests = [member.manifest for member in members]
    ids = {manifest.id for manifest in manifests}
    if len(members) < 2 or len(ids) < len(members):
        raise UsageError(
            "A fusion needs at least two different runs.", hint="hype fuse RUN RUN --method rrf"
        )
    corpora = {str(one.inputs["corpus"]) for one in manifests if one.inputs.get("corpus")}
    if len(corpora) > 1:
        raise UsageError(
            f"The runs have different corpora: {', '.join(sorted(corpora))}.",
            hint="Fuse runs over one corpus.",
        )
    first = members[0].queries().keys()
    for member in members[1:]:
        if first.isdisjoint(member.queries()):
            raise UsageError(
                f"The runs {display_name(manifests[0])} and {display_name(member.manifest)} "
                "have no query in common.",
                hint="Fuse runs of one query set.",
            )


def _inputs(manifests: list[Manifest], how: Fusion) -> dict[str, JsonValue]:
    """Return the inputs that determine the run: the runs, and the parameters of the method."""
    inputs: dict[str, JsonValue] = {
        "engine": how.method,
        "runs": [manifest.id for manifest in manifests],
        "corpus": _shared_value([manifest.inputs.get("corpus") for manifest in manifests]),
        "queries": _shared_value([manifest.inputs.get("queries") for manifest in manifests]),
        "k": how.k,
    }
    if how.method == "rrf":
        return {**inputs, "rrf_k": how.rrf_k}
    if how.method == "combsum":
        return {**inputs, "normalise": how.normalise}
    weights = how.weights_of(len(manifests))
    return {**inputs, "normalise": how.normalise, "weights": list(weights)}


def _shared_value(values: list[JsonValue]) -> JsonValue:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def _shared(values: list[JsonValue]) -> JsonValue:
    """Return the value that all values other than None share; else None."""
    present = [value for value in values if value is not None]
    return present[0] if present and all(value == present[0] for value in present) else None


def _texts(members: list[StoredRun]) -> Mapping[str, str]:
    """Map query ids to texts, from the first run with a text."""
    texts: dict[str, str] = {}
    for member in members:
        for query, text in member.queries().items():
            texts[query] = texts.get(query) or text
    return texts
