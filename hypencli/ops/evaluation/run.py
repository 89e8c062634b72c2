"""Evaluation of a run against judgements, stored per query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hypencli.errors import UsageError
from hypencli.escaping import escape_shell
from hypencli.ops.content_names import JudgementNames, judgements_key
from hypencli.ops.drafts import find_finished
from hypencli.ops.evaluation.judged import judged_queries
from hypencli.ops.evaluation.recall import depth_of
from hypencli.ops.recorded_places import recorded_qrels
from hypencli.own_places import place_seals
from hypencli.progress import SILENT, Progress
from hypencli.records import Evaluation
from hypencli.runtime import provenance
from hypencli.tabular import Row, Tabular
from hypestore import JsonValue, Manifest, Store, StoreNotWritable


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """Options of an evaluation.

    Attributes:
        qrels: An ir_datasets id, or a file (TREC, JSON as published, BEIR TSV). None selects the
            judgements recorded with the run's queries.
        measures: Names of ir_measures. None selects the published default set. For TREC Deep
            Learning, binary measures of that set count grades from 2 as relevant.
    """

    qrels: str | None = None
    measures: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Evaluated(Tabular):
    """Measures of one run.

    Attributes:
        evaluation: Id of the evaluation.
        run: Id of the run.
        run_name: Name of the run, if it has one.
        qrels: Name of the judgements, as leaderboards show it.
        aggregates: Measure -> mean over all judged queries.
        judged_queries: Number of judged queries.
        missing_queries: Judged queries without results. They count as 0. Empty where an evaluation
            of another program does not record them, as ``unjudged_queries`` is 0 then.
        unjudged_queries: Number of queries of the run without judgements. They are left out.
        existing: Whether the store had the evaluation before this call.
    """

    evaluation: str
    run: str
    run_name: str | None
    qrels: str
    aggregates: dict[str, float]
    judged_queries: int
    missing_queries: list[str]
    unjudged_queries: int
    existing: bool

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        return ("measure", "value"), list(self.aggregates.items())

    def _title(self) -> str:
        return f"{self.run_name or self.run} on {self.qrels}, {self.judged_queries} judged queries"


def evaluate(
    store: Store,
    run: str,
    options: EvaluateOptions | None = None,
    progress: Progress = SILENT,
) -> Evaluated:
    """Evaluate a run, and store the values per query and their aggregates.

    An evaluation that exists becomes the newest of the run, so that comparisons select its
    judgements.

    Args:
        store: The project store.
        run: Id, unique prefix, or name.
        options: Judgements and measures.
        progress: Where to report.

    Raises:
        UsageError: The options name no judgements, and the run records none, or somebody else
            recorded them.
        DataError: The judgements cannot be read.
    """
    from hypencli.data.qrels import read_qrels
    from hypencli.evaluation import measures

    options = options or EvaluateOptions()
    stored = store.run(run)
    wanted = measures.parse_measures(options.measures) if options.measures else None
    qrels, qrels_id, qrels_fingerprint = read_qrels(_source(stored.manifest, options))
    is_default = wanted is None
    wanted = wanted or measures.parse_measures(_default_measures(stored.manifest, qrels_id))
    inputs = _inputs(stored.manifest, qrels_id, qrels_fingerprint, wanted)
    existing = find_finished(store, "evaluation", inputs)
    if existing is None and is_default:
        existing = _of_earlier_version(store, inputs)
    if existing is not None:
        _renew(store, existing, progress)
        return _outcome(store, stored.manifest, existing, wanted, existing=True)
    progress.message(f"evaluating {stored.manifest.id} with {qrels_id}")
    values = measures.evaluate(stored.results(), qrels, wanted)
    manifest = store.write_evaluation(
        stored.manifest.id,
        qrels_id=qrels_id,
        inputs=inputs,
        per_query=_rows(values),
        aggregates=values.aggregates,
        stats={
            "judged_queries": values.judged_queries,
            "missing_queries": list(values.missing_queries),
            "unjudged_queries": len(values.unjudged_queries),
        },
        provenance={**provenance(), **place_seals(qrels=qrels_id)},
    )
    return _outcome(store, stored.manifest, manifest, wanted, existing=False)


def existing_evaluation(store: Store, run: Manifest, options: EvaluateOptions) -> Manifest | None:
    """Find the evaluation that :func:`evaluate` would return; None if it is not stored.

    Nothing is downloaded: judgements of ir_datasets are compared by id only.

    Raises:
        UsageError: The options name no judgements, and the run records none, or somebody else
            recorded them.
        DataError: The judgements cannot be read.
    """
    from hypencli.evaluation.measures import parse_measures

    qrels_id, fingerprint = identify_qrels(_source(run, options))
    wanted = parse_measures(options.measures or _default_measures(run, qrels_id))
    inputs = _inputs(run, qrels_id, fingerprint, wanted)
    found = find_finished(store, "evaluation", inputs, perhaps_unread="qrels_fingerprint")
    if found is None and not options.measures:
        return _of_earlier_version(store, inputs)
    return found


def identify_qrels(source: str) -> tuple[str, str | None]:
    """Id and fingerprint of judgements. Those of ir_datasets are not read: the fingerprint is None.

    Raises:
        DataError: The judgements cannot be read.
    """
    from hypencli.data.qrels import read_qrels
    from hypencli.data.reading.source import IrdsSource, resolve

    place = resolve(source, what="qrels")
    if isinstance(place, IrdsSource):
        return place.id, None
    judgements = read_qrels(source)
    return judgements.id, judgements.fingerprint


def _inputs(
    run: Manifest, qrels_id: str, qrels_fingerprint: str | None, measures: Iterable[object]
) -> dict[str, JsonValue]:
    return {
        "run": run.id,
        "qrels": qrels_id,
        "qrels_fingerprint": qrels_fingerprint,
        "measures": [*sorted(str(measure) for measure in measures)],
    }


def _default_measures(run: Manifest, qrels_id: str) -> tuple[str, ...]:
    """The default measures, without recall at a depth that the run does not have."""
    from hypencli.evaluation.measures import default_measures

    depth, n_documents = depth_of(run.inputs), run.stats.get("n_documents")
    has_all = isinstance(n_documents, int) and n_documents <= depth
    return default_measures(qrels_id, depth=None if has_all or not depth else depth)


def _of_earlier_version(store: Store, inputs: Mapping[str, JsonValue]) -> Manifest | None:
    """Find an evaluation with all default measures: earlier versions computed all for every run."""
    from hypencli.evaluation.measures import default_measures

    measures: list[JsonValue] = [*sorted(default_measures(str(inputs["qrels"])))]
    every = {**inputs, "measures": measures}
    return find_finished(store, "evaluation", every, perhaps_unread="qrels_fingerprint")


def _renew(store: Store, evaluation: Manifest, progress: Progress) -> None:
    """Make an existing evaluation the newest of its run."""
    try:
        store.renew_evaluation(evaluation.id)
    except StoreNotWritable:
        progress.message(
            "the store is read-only: comparisons still select the judgements of the newest "
            f"evaluation of this run, not those of {evaluation.id}"
        )


def _source(run: Manifest, options: EvaluateOptions) -> str:
    """The judgements in the options, else those recorded with the run's queries."""
    qrels = options.qrels or recorded_qrels(run)
    if qrels is None:
        raise UsageError(
            f"No judgements: the queries of run {run.id} have none.",
            hint=f"Name them: hype eval {escape_shell(run.name or run.id)} --qrels FILE_OR_DATASET",
        )
    return qrels


def _rows(evaluation: Evaluation) -> Iterator[tuple[str, str, float]]:
    for measure, values in evaluation.per_query.items():
        for query_id, value in values.items():
            yield query_id, measure, value


def _outcome(
    store: Store,
    run: Manifest,
    evaluation: Manifest,
    measures: Iterable[object],
    *,
    existing: bool,
) -> Evaluated:
    wanted, values = {str(measure) for measure in measures}, store.aggregates(evaluation.id)
    missing = evaluation.stats.get("missing_queries")
    return Evaluated(
        evaluation=evaluation.id,
        run=run.id,
        run_name=run.name,
        qrels=JudgementNames(store).of(judgements_key(evaluation), str(evaluation.inputs["qrels"])),
        aggregates={name: value for name, value in values.items() if name in wanted},
        judged_queries=judged_queries(store, evaluation),
        missing_queries=[str(query) for query in missing] if isinstance(missing, list) else [],
        unjudged_queries=(
            evaluation.stat_int("unjudged_queries") if "unjudged_queries" in evaluation.stats else 0
        ),
        existing=existing,
    )
