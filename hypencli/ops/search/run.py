"""Search of a query set over an embedding set, by any engine, stored as a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Protocol

from pydantic import TypeAdapter

import hypestore
from hypencli.data.queries import QuerySet
from hypencli.engine.seconds import SearchSeconds
from hypencli.errors import DataError
from hypencli.ops.drafts import discard_on_error, find_finished, name_not_given
from hypencli.ops.evaluation.run import Evaluated, EvaluateOptions, evaluate
from hypencli.ops.models import LoadedModel, ModelSource, display_name
from hypencli.ops.search.calibrations import plan_search
from hypencli.ops.search.check import Checker
from hypencli.ops.search.engines import EnginePlan
from hypencli.ops.search.options import (
    Check,
    CountSummary,
    FirstPassSummary,
    Output,
    Searched,
    SearchOptions,
)
from hypencli.ops.search.scoring import append_rankings, encoded_queries, search_rankings
from hypencli.ops.search.target import SearchTarget
from hypencli.progress import SILENT, Progress, Task
from hypencli.runtime import provenance, resolve_device, resolve_dtype
from hypestore import EmbeddingSet, Manifest, RunWriter, Store

if TYPE_CHECKING:
    from hypencli.engine.results import Engine, FirstPassCosts
    from hypencli.models.encoding import QueryStates


class IdentifiedQueries(Protocol):
    """What the id of a run says of a query set."""

    @property
    def id(self) -> str:
        """Stands for the set, as ``QuerySet.id`` does."""

    @property
    def fingerprint(self) -> str | None:
        """Hash of ids and texts; None where the set was not read."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a search would do.

    Attributes:
        id_prefix: What its run is called, for people.
        inputs: What determines the run, and with it the run's id.
        parents: Ids of what it reads.
        engine: The engine, not opened yet.
    """

    id_prefix: str
    inputs: Mapping[str, hypestore.JsonValue]
    parents: tuple[str, ...]
    engine: EnginePlan

    def existing(self, store: Store) -> Manifest | None:
        """The finished run; of queries that were not read, one of a set with the same id."""
        return find_finished(store, "run", self.inputs, perhaps_unread="queries_fingerprint")


def search(
    store: Store,
    queries: QuerySet | None,
    model: ModelSource,
    options: SearchOptions | None = None,
    progress: Progress = SILENT,
) -> Searched:
    """The best ``k`` documents that an engine finds for every query, kept as a run.

    Args:
        store: The project store.
        queries: The query set; None takes that of the encoded dataset.
        model: The model whose q-nets or query vectors search.
        options: See :class:`SearchOptions`.
        progress: Where to report.

    Raises:
        UsageError: No embedding set fits the model and the corpus, or several do; the engine is
            not for this model, or lacks what it needs.
        DataError: The query set is empty.
        ModelError: The model has no q-nets of that width.
    """
    options = options or SearchOptions()
    target = SearchTarget.resolve(store, model, options.target, queries, progress)
    queries = target.queries(queries)
    plan = plan_run(target, queries, options)
    name = options.output.name
    with store.run_writer(plan.id_prefix, plan.inputs, parents=plan.parents, name=name) as writer:
        done = writer.existing
        existing = done is not None
        if done is None:
            with discard_on_error(writer):
                if not len(queries):
                    raise DataError(
                        f"The query set {queries.id} has no queries; nothing to search."
                    )
                loaded = target.load(options.scoring, trust_code=model.trust_code)
                corpus, engine = target.open(), plan.engine
                approximate = engine.entry.approximate
                checker = Checker(
                    store, plan.inputs, corpus, queries, options, approximate=approximate
                )
                work = _Work(loaded, corpus, options, engine.open(corpus, progress), checker)
                done = work.run(writer, queries, progress)
        else:
            progress.message(f"this search was done before: {done.id}")
    evaluation = _evaluate(store, done, queries, options.output, progress)
    outcome = _outcome(done, target.model, existing=existing, evaluation=evaluation)
    return replace(outcome, name_not_given=name_not_given(store, done, name))


def plan_run(target: SearchTarget, queries: IdentifiedQueries, options: SearchOptions) -> RunPlan:
    """What :func:`search` would do, without reading more than manifests.

    Raises:
        UsageError: The engine is not for this model, or lacks what it needs.
    """
    engine, width = plan_search(target, options), options.scoring.width
    id_prefix = f"{target.id_prefix}-{engine.entry.name}"
    return RunPlan(
        id_prefix=id_prefix + ("" if width is None else f"-w{width}"),
        inputs=_run_inputs(queries, options, engine),
        parents=(target.model.id, target.embeddings.id, *engine.parents),
        engine=engine,
    )


def _run_inputs(
    queries: IdentifiedQueries, options: SearchOptions, engine: EnginePlan
) -> dict[str, hypestore.JsonValue]:
    """What determines a run, and with it the run's id."""
    target, scoring = engine.target, options.scoring
    inputs: dict[str, hypestore.JsonValue] = {
        "engine": engine.entry.name,
        "model": target.model.id,
        "embeddings": target.embeddings.id,
        "corpus": target.embeddings.inputs["corpus"],
        "queries": queries.id,
        "queries_fingerprint": queries.fingerprint,
        "k": options.k,
        "query_max_length": scoring.query_max_length,
        "exclude_same_id": options.exclude_same_id,
        "dtype": scoring.dtype,
        **engine.inputs,
    }
    if options.output.check is not None:
        inputs["check"] = options.output.check
    # Only where one is set: runs at the full width keep the ids that they always had.
    return inputs if scoring.width is None else {**inputs, "width": scoring.width}


@dataclass(slots=True)
class _Work:
    """One search while it runs, batch by batch."""

    loaded: LoadedModel
    embeddings: EmbeddingSet
    options: SearchOptions
    open_engine: Callable[[Sequence[str]], Engine]
    checker: Checker
    seconds: SearchSeconds = field(default_factory=SearchSeconds)
    evaluations: list[int] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    first_passes: list[FirstPassCosts] = field(default_factory=list)
    n_results: int = 0

    def run(self, writer: RunWriter, queries: QuerySet, progress: Progress) -> Manifest:
        """Search all queries and commit the run."""
        listed = list(queries)
        writer.queries([(query.query_id, query.text) for query in listed])
        encoded = self._encode([query.text for query in listed])
        with progress.task("search", total=len(listed) * self.embeddings.n, unit="scores") as task:
            for batch in encoded.batches(self.options.scoring.batch_queries):
                ids = [listed[place].query_id for place in batch]
                scored = self._search(writer, encoded, ids, batch, task)
                task.advance(len(ids) * self.embeddings.n - scored)  # what needed no score
        if encoded.has_q_nets:
            writer.costs(self.evaluations, self.iterations)
        return writer.commit(
            stats=self._stats(queries, encoded),
            provenance=provenance(device=str(resolve_device(self.options.scoring.device))),
        )

    def _encode(self, texts: list[str]) -> QueryStates:
        started = time.perf_counter()
        encoded = encoded_queries(self.loaded, texts, self.options.scoring)
        self.seconds = self.seconds.plus(query_encoding=time.perf_counter() - started)
        return encoded

    def _search(
        self, writer: RunWriter, encoded: QueryStates, ids: list[str], batch: range, task: Task
    ) -> int:
        """Search one batch; gives the number of scores."""
        from hypencli.engine.scorers import scorer_of

        started = time.perf_counter()
        dtype = resolve_dtype(self.options.scoring.dtype)
        scorer = scorer_of(encoded, batch, self.embeddings.dim, dtype)
        encoding_seconds = time.perf_counter() - started
        result = search_rankings(
            self.open_engine(ids), scorer, ids, self.options, on_scored=task.advance
        )
        started = time.perf_counter()
        self.n_results += append_rankings(writer, ids, result.rankings)
        written = time.perf_counter() - started
        own = SearchSeconds(query_encoding=encoding_seconds, writing=written)
        self.seconds = self.seconds + result.seconds + own
        self.evaluations += result.evaluations.tolist()
        self.iterations += result.iterations.tolist()
        self.first_passes += [] if result.scan is None else [result.scan]
        self.checker.compare(scorer, ids, result.rankings)
        return int(result.evaluations.sum())

    def _stats(self, queries: QuerySet, encoded: QueryStates) -> dict[str, hypestore.JsonValue]:
        stats: dict[str, hypestore.JsonValue] = {
            "n_queries": len(encoded),
            "n_documents": self.embeddings.n,
            "n_results": self.n_results,
            "qrels": queries.qrels,
            "seconds": {**asdict(self.seconds), "total": self.seconds.total},
        }
        if encoded.has_q_nets and self.evaluations:
            stats["evaluations"] = asdict(count_summary(self.evaluations))
            stats["iterations"] = asdict(count_summary(self.iterations))
        if self.first_passes:
            stats["scan"] = asdict(first_pass_summary(self.first_passes))
        check = self.checker.result()
        return stats if check is None else {**stats, "check": asdict(check)}


def count_summary(values: Sequence[int]) -> CountSummary:
    """Mean, least and most of at least one count."""
    return CountSummary(sum(values) / len(values), min(values), max(values))


def first_pass_summary(batches: Sequence[FirstPassCosts]) -> FirstPassSummary:
    """What scans needed, over all queries of at least one batch."""
    rescored, added, bounds = (
        [value for each in batches for value in getattr(each, name).tolist()]
        for name in ("rescored", "widened", "bound")
    )
    return FirstPassSummary(
        dtype=" and ".join(sorted({name for each in batches for name in each.dtypes if name})),
        certified=batches[0].certified,
        rescored=count_summary(rescored),
        widened=sum(value > 0 for value in added),
        added=max(added),
        bound=max(bounds),
        fell_back=sum(int(each.fell_back.sum()) for each in batches),
    )


def _evaluate(
    store: Store,
    run: Manifest,
    queries: QuerySet,
    output: Output,
    progress: Progress,
) -> Evaluated | None:
    """Evaluate where judgements are known: those named, else the query set's own."""
    qrels = output.qrels or queries.qrels
    if qrels is None:
        return None
    settings = EvaluateOptions(qrels=qrels, measures=output.measures)
    return evaluate(store, run.id, settings, progress)


def _outcome(
    run: Manifest, model: Manifest, *, existing: bool, evaluation: Evaluated | None
) -> Searched:
    parts = _numbers(run, "seconds") or {}
    return Searched(
        run=run.id,
        name=run.name,
        model=display_name(model),
        embeddings=str(run.inputs["embeddings"]),
        corpus=str(run.inputs["corpus"]),
        queries=str(run.inputs["queries"]),
        engine=str(run.inputs["engine"]),
        k=run.input_int("k"),
        width=run.input_int("width") if "width" in run.inputs else None,
        n_queries=run.stat_int("n_queries"),
        n_documents=run.stat_int("n_documents"),
        n_results=run.stat_int("n_results"),
        # A part that a run made before it was measured lacks took no time of its own.
        seconds=SearchSeconds(
            **{each.name: float(str(parts.get(each.name, 0.0))) for each in fields(SearchSeconds)}
        ),
        existing=existing,
        evaluations=_count_summary(run, "evaluations"),
        iterations=_count_summary(run, "iterations"),
        check=_check(run),
        scan=_first_pass_summary(run),
        evaluation=evaluation,
    )


def _numbers(run: Manifest, key: str) -> Mapping[str, hypestore.JsonValue] | None:
    value = run.stats.get(key)
    return value if isinstance(value, Mapping) else None


def _count_summary(run: Manifest, key: str) -> CountSummary | None:
    numbers = _numbers(run, key)
    if numbers is None:
        return None
    mean, least, most = (float(str(numbers[part])) for part in ("mean", "min", "max"))
    return CountSummary(mean, int(least), int(most))


def _check(run: Manifest) -> Check | None:
    value = run.stats.get("check")
    return None if value is None else TypeAdapter(Check).validate_python(value)


def _first_pass_summary(run: Manifest) -> FirstPassSummary | None:
    value = run.stats.get("scan")
    return None if value is None else TypeAdapter(FirstPassSummary).validate_python(value)
