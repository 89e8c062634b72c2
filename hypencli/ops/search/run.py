"""Search of a query set over an embedding set by an engine, stored as a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import hypestore
from hypencli.data.queries import IdentifiedQueries, QuerySet
from hypencli.engine.seconds import SearchSeconds
from hypencli.errors import DataError, UsageError
from hypencli.ops.drafts import discard_on_error, find_finished, name_not_given
from hypencli.ops.models import LoadedModel, ModelSource
from hypencli.ops.search.calibrations import plan_search
from hypencli.ops.search.check import Checker, RankingCounts
from hypencli.ops.search.engines import EnginePlan
from hypencli.ops.search.options import (
    BoundSummary,
    CountSummary,
    FirstPassSummary,
    Searched,
    SearchOptions,
)
from hypencli.ops.search.outcome import evaluate_run, run_outcome, tell_empty
from hypencli.ops.search.query_cache import kept_queries
from hypencli.ops.search.scoring import append_rankings, search_rankings
from hypencli.ops.search.target import SearchTarget
from hypencli.ops.search.text_search import is_text_engine, search_texts
from hypencli.own_places import place_seals
from hypencli.progress import SILENT, Progress, Task
from hypencli.records import Query, Ranking
from hypencli.runtime import provenance, resolve_device, resolve_dtype
from hypestore import EmbeddingSet, Manifest, RunWriter, Store

if TYPE_CHECKING:
    from hypencli.engine.results import Engine, FirstPassCosts
    from hypencli.models.encoding import QueryStates

_Record = TypeVar("_Record")

Keep: TypeAlias = Callable[[list[str], list[Ranking]], int]
"""A function that takes rankings of queries, and returns how many results it stored."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The plan of a search.

    Attributes:
        id_prefix: Readable start of the run's id.
        inputs: Inputs that determine the run and its id.
        parents: Ids of the artifacts that the search reads.
        engine: The engine, not opened yet.
    """

    id_prefix: str
    inputs: Mapping[str, hypestore.JsonValue]
    parents: tuple[str, ...]
    engine: EnginePlan

    def existing(self, store: Store) -> Manifest | None:
        """Find the finished run. Queries that were not read are compared by the id of the set."""
        return find_finished(store, "run", self.inputs, perhaps_unread="queries_fingerprint")


def search(
    store: Store,
    queries: QuerySet | None,
    model: ModelSource,
    options: SearchOptions | None = None,
    progress: Progress = SILENT,
) -> Searched:
    """Find the best ``k`` documents for every query, and store them as a run.

    Args:
        store: The project store.
        queries: The query set. None selects that of the encoded dataset.
        model: The model that makes q-nets or query vectors; an engine of texts takes none.
        options: Documents, engine, scoring and output.
        progress: Where to report.

    Raises:
        UsageError: No embedding set or several sets fit, the engine does not support the model, a
            required artifact is missing, or there is no run to compare with.
        DataError: The query set is empty, or the run to rerank has no documents for its queries.
        ModelError: The model has no q-nets of the width in the options.
    """
    options = options or SearchOptions()
    if is_text_engine(options.engine):
        return search_texts(store, queries, model, options, progress)
    target = SearchTarget.resolve(store, model, options.target, queries, progress)
    queries = target.queries(queries, options.output.qrels)
    tell_empty(queries, progress)
    plan = plan_run(target, queries, options)
    if options.output.again:
        loading = partial(target.load, options.scoring, trust_code=model.trust_code)
        return _search_again(plan, queries, loading, options, progress)
    name = options.output.name
    with store.run_writer(plan.id_prefix, plan.inputs, parents=plan.parents, name=name) as writer:
        done = writer.existing
        existing = done is not None
        if done is None:
            with discard_on_error(writer):
                if not len(queries):
                    raise DataError(f"The query set {queries.id} has no queries to search.")
                plan.engine.refuse_other_queries([query.query_id for query in queries], progress)
                loaded = target.load(options.scoring, trust_code=model.trust_code)
                work = _Work.of(plan, loaded, queries, options, progress)
                done = work.run(writer, queries, progress)
        else:
            progress.message(f"this run exists: {done.id}")
    evaluation = evaluate_run(store, done, queries, options.output, progress)
    outcome = run_outcome(done, target.model, existing=existing, evaluation=evaluation)
    return replace(outcome, name_not_given=name_not_given(store, done, name))


def _search_again(
    plan: RunPlan,
    queries: QuerySet,
    load: Callable[[], LoadedModel],
    options: SearchOptions,
    progress: Progress,
) -> Searched:
    """Search the queries of a stored run again, and compare the rankings.

    Raises:
        UsageError: The store has no such run.
    """
    target = plan.engine.target
    run = plan.existing(target.store)
    if run is None:
        raise UsageError(
            "The store has no run of this search, so there is nothing to compare with.",
            hint="Leave `again=True` out: the search is then done, and stored.",
        )
    stored, counts = target.store.run(run.id).by_query(), RankingCounts(options.k)

    def compare(query_ids: list[str], rankings: list[Ranking]) -> int:
        for query_id, ranking in zip(query_ids, rankings, strict=True):
            counts.add(query_id, ranking, stored.doc_ids(query_id))
        return 0

    unchecked = replace(options, output=replace(options.output, check=None))
    work = _Work.of(plan, load(), queries, unchecked, progress)
    encoded = work.search(list(queries), compare, progress)
    return replace(
        run_outcome(run, target.model, existing=True, evaluation=None),
        seconds=work.seconds,
        evaluations=count_summary(work.evaluations) if encoded.has_q_nets else None,
        iterations=count_summary(work.iterations) if encoded.has_q_nets else None,
        scan=first_pass_summary(work.first_passes) if work.first_passes else None,
        check=None,
        again=counts.check(run.id),
    )


def plan_run(target: SearchTarget, queries: IdentifiedQueries, options: SearchOptions) -> RunPlan:
    """Plan a search. Only manifests are read.

    Raises:
        UsageError: The engine does not support the model, or a required artifact is missing.
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
    """Return the inputs that determine a run and its id."""
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
    # Left out at the full width, so that runs of earlier versions keep their ids.
    return inputs if scoring.width is None else {**inputs, "width": scoring.width}


@dataclass(slots=True)
class _Work:
    """A search in progress, batch by batch."""

    store: hypestore.Store
    loaded: LoadedModel
    embeddings: EmbeddingSet
    options: SearchOptions
    open_engine: Callable[[Sequence[str]], Engine]
    checker: Checker
    confidence: float
    seconds: SearchSeconds = field(default_factory=SearchSeconds)
    evaluations: list[int] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    recall_bounds: list[float] = field(default_factory=list)
    first_passes: list[FirstPassCosts] = field(default_factory=list)
    n_results: int = 0

    @classmethod
    def of(
        cls,
        plan: RunPlan,
        loaded: LoadedModel,
        queries: QuerySet,
        options: SearchOptions,
        progress: Progress,
    ) -> _Work:
        """Open documents and engine of a plan."""
        target, engine = plan.engine.target, plan.engine
        corpus = target.open()
        checker = Checker(
            target.store,
            plan.inputs,
            corpus,
            queries,
            options,
            approximate=engine.entry.approximate,
        )
        confidence = float(str(plan.inputs.get("confidence", 0.0)))
        open_engine = engine.open(corpus, progress)
        return cls(target.store, loaded, corpus, options, open_engine, checker, confidence)

    def run(self, writer: RunWriter, queries: QuerySet, progress: Progress) -> Manifest:
        """Search all queries and commit the run."""
        listed = list(queries)
        writer.queries([(query.query_id, query.text) for query in listed])
        encoded = self.search(listed, partial(append_rankings, writer), progress)
        if encoded.has_q_nets:
            writer.costs(self.evaluations, self.iterations, self.recall_bounds or None)
        return writer.commit(
            stats=self._stats(queries, encoded),
            provenance={
                **provenance(device=str(resolve_device(self.options.scoring.device))),
                **place_seals(qrels=queries.qrels),
            },
        )

    def search(self, listed: list[Query], keep: Keep, progress: Progress) -> QueryStates:
        """Search all queries, and hand over their rankings; return the encoded queries."""
        encoded = self._encode([query.text for query in listed])
        with progress.task("search", total=len(listed) * self.embeddings.n, unit="scores") as task:
            for batch in encoded.batches(self.options.scoring.batch_queries):
                ids = [listed[place].query_id for place in batch]
                scored = self._search(keep, encoded, ids, batch, task)
                task.advance(len(ids) * self.embeddings.n - scored)  # documents without a score
        return encoded

    def _encode(self, texts: list[str]) -> QueryStates:
        kept = kept_queries(self.store, self.loaded, texts, self.options.scoring)
        self.seconds = self.seconds.plus(query_encoding=kept.seconds)
        return kept.states

    def _search(
        self, keep: Keep, encoded: QueryStates, ids: list[str], batch: range, task: Task
    ) -> int:
        """Search one batch, and return the number of scores."""
        from hypencli.engine.scorers import scorer_of

        started = time.perf_counter()
        dtype = resolve_dtype(self.options.scoring.dtype)
        scorer = scorer_of(encoded, batch, self.embeddings.dim, dtype)
        encoding_seconds = time.perf_counter() - started
        result = search_rankings(
            self.open_engine(ids), scorer, ids, self.options, on_scored=task.advance
        )
        started = time.perf_counter()
        self.n_results += keep(ids, result.rankings)
        written = time.perf_counter() - started
        own = SearchSeconds(query_encoding=encoding_seconds, writing=written)
        self.seconds = self.seconds + result.seconds + own
        self.evaluations += result.evaluations.tolist()
        self.iterations += result.iterations.tolist()
        self.recall_bounds += [] if result.recall_bounds is None else result.recall_bounds.tolist()
        self.first_passes += [] if result.scan is None else [result.scan]
        self.checker.compare(scorer, ids, result.rankings)
        return int(result.evaluations.sum())

    def _stats(self, queries: QuerySet, encoded: QueryStates) -> dict[str, hypestore.JsonValue]:
        stats: dict[str, hypestore.JsonValue] = {
            "n_queries": len(encoded),
            "n_documents": self.embeddings.n,
            "n_results": self.n_results,
            "n_cut": encoded.n_cut,
            "qrels": queries.qrels,
            "seconds": {**asdict(self.seconds), "total": self.seconds.total},
        }
        if queries.variation is not None:
            stats["variation"] = queries.variation._asdict()
        if encoded.has_q_nets and self.evaluations:
            stats["evaluations"] = asdict(count_summary(self.evaluations))
            stats["iterations"] = asdict(count_summary(self.iterations))
        if self.recall_bounds:
            stats["recall_bound"] = asdict(self._bound_summary())
        if self.first_passes:
            stats["scan"] = asdict(first_pass_summary(self.first_passes))
        check = self.checker.result()
        return stats if check is None else {**stats, "check": asdict(check)}

    def _bound_summary(self) -> BoundSummary:
        """Summarise the bounds on the recall of at least one query."""
        return BoundSummary(
            mean=sum(self.recall_bounds) / len(self.recall_bounds),
            min=min(self.recall_bounds),
            confidence=self.confidence,
            exact=sum(count >= self.embeddings.n for count in self.evaluations),
        )


def count_summary(values: Sequence[int]) -> CountSummary:
    """Summarise at least one count by mean, minimum and maximum."""
    return CountSummary(sum(values) / len(values), min(values), max(values))


def first_pass_summary(batches: Sequence[FirstPassCosts]) -> FirstPassSummary:
    """Summarise the costs of first passes over all queries of at least one batch."""
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
        risk=max(float(each.risk.max(initial=0.0)) for each in batches),
    )
