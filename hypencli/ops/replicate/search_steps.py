"""Steps that search a dataset with an engine of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hypencli.data.queries import open_queries
from hypencli.data.reading.source import IrdsSource, Source, resolve
from hypencli.errors import DataError
from hypencli.ops.evaluation.run import EvaluateOptions
from hypencli.ops.models import ModelSource
from hypencli.ops.replicate.corpus_steps import EncodeStep, GraphStep
from hypencli.ops.replicate.estimate import UNKNOWN, Estimate, Rate, count_of
from hypencli.ops.replicate.input_steps import ListsStep, PerturbStep, PrepareStep
from hypencli.ops.replicate.step import ReplicationContext, Step, StepKind, short
from hypencli.ops.search.options import EngineSpec, Output, Scoring, SearchOptions, Target
from hypencli.ops.search.run import plan_run, search
from hypencli.ops.search.target import SearchTarget, has_q_nets
from hypencli.ops.search.text_search import TextPlan
from hypencli.progress import Progress
from hypencli.recipe.replication import ReplicatedDataset, ReplicatedSearch
from hypestore import Manifest

BYTES_PER_RESULT = 10
"""Size of a stored result in bytes: id, rank and score. With short ids, 7.4 were measured."""

_SCORING = {
    "cuda": (5.0e6, "the paper's 1,769.8 ms for 8.8 million documents, on an L40S"),
    "cpu": (1.8e4, "the 130 GFLOP/s of docs/benchmarks.md, on 2 cores"),
}
"""Kind of device -> scores per second of six-layer q-nets of width 768, and the source."""

_WALKING = {
    "efficient-1": {"cuda": (1 / 59.6e-3, "the paper's 59.6 ms a query, on an L40S")},
    "efficient-2": {"cuda": (1 / 231.1e-3, "the paper's 231.1 ms a query, on an L40S")},
}
"""Preset -> kind of device -> queries per second, and the source."""


@dataclass(frozen=True, slots=True)
class SearchStep(Step):
    """Searches the queries of a dataset with one model and engine.

    Attributes:
        encode: The embeddings.
        dataset: Name of the dataset in the table.
        search: Name of the search in the table.
        prepared: The step that prepares the queries, if any.
        perturb: The step that perturbs the queries, if any.
        graph: The step of the neighbour graph, if the engine needs one.
        lists: The step of the ranked lists to rerank, if the dataset has some.
        changed: Whether to search with the changed instructions.
    """

    kind: ClassVar[StepKind] = "search"

    encode: EncodeStep
    dataset: str
    search: str
    prepared: tuple[PrepareStep, ...] = ()
    perturb: PerturbStep | None = None
    graph: GraphStep | None = None
    lists: ListsStep | None = None
    changed: bool = False

    @property
    def needs(self) -> tuple[Step, ...]:
        """The embeddings; and preparation, perturbed queries, graph and lists, if any."""
        others = (self.perturb, self.graph, self.lists)
        return (self.encode, *self.prepared, *(one for one in others if one is not None))

    @property
    def way(self) -> str:
        """Model and search, for a line of output."""
        return f"with {short(self.encode.model.source)} ({self.search})"

    def __str__(self) -> str:
        asked = f"{self.dataset}, instructions changed," if self.changed else self.dataset
        return f"search {asked} {self.way}"

    def existing(self, context: ReplicationContext) -> Manifest | None:
        """Return the run of this search if it is stored."""
        queries = self._queries(context)
        if queries is None:
            return None
        model, embeddings = (context.manifest(one) for one in (self.encode.model, self.encode))
        target = SearchTarget(context.store, model, embeddings)
        return plan_run(target, queries, self._options(context)).existing(context.store)

    def require(self, context: ReplicationContext) -> None:
        """Refuse missing queries that no step makes."""
        self._source(context)

    def estimate(self, context: ReplicationContext) -> Estimate:
        """Estimate an exact search by a rate of scores, other searches by a rate of queries."""
        queries = self._queries(context)
        if queries is None or queries.count is None:
            return UNKNOWN
        size = queries.count * context.recipe.k * BYTES_PER_RESULT
        how = context.recipe.searches[self.search]
        each = self.encode.n_documents(context) if how.engine == "exact" else 1
        rate = self._rate(context, how)
        if rate is None or each is None:
            return Estimate(None, size)
        return Estimate(queries.count * each / rate.per_second, size, _basis(how, rate))

    def run(self, context: ReplicationContext, progress: Progress) -> Manifest:
        """Search the queries."""
        self._source(context)  # its error has the command that makes the queries
        queries = open_queries(self._place(context), judged_by=self.judged_with(context).qrels)
        done = search(
            context.store, queries, self._model(context), self._options(context), progress
        )
        return context.store.get(done.run, "run")

    def _model(self, context: ReplicationContext) -> ModelSource:
        return context.model_of(self.encode.model)

    def judged_with(self, context: ReplicationContext) -> EvaluateOptions:
        """Return judgements and measures for the run."""
        own = self._asked(context).qrels
        return EvaluateOptions(
            qrels=None if own is None else context.place(own),
            measures=context.recipe.measures_of(self.dataset),
        )

    def _asked(self, context: ReplicationContext) -> ReplicatedDataset:
        """Return the dataset, with changed instructions if they are searched."""
        dataset = context.recipe.datasets[self.dataset]
        return dataset.with_changed_instructions() if self.changed else dataset

    def _options(self, context: ReplicationContext) -> SearchOptions:
        recipe, dataset = context.recipe, self._asked(context)
        judged = self.judged_with(context)
        return SearchOptions(
            k=recipe.k,
            exclude_same_id=dataset.exclude_same_id,
            target=Target(embeddings=context.manifest(self.encode).id),
            engine=self._engine(context),
            scoring=Scoring(
                query_max_length=dataset.query_max_length or recipe.query_max_length,
                dtype=recipe.dtype,
                device=context.device,
            ),
            output=Output(qrels=judged.qrels, measures=judged.measures),
        )

    def _engine(self, context: ReplicationContext) -> EngineSpec:
        """Return the engine of this search. Ranked lists of a dataset are always reranked."""
        if self.lists is not None:
            return EngineSpec("rerank", {"run": context.manifest(self.lists).id})
        how = context.recipe.searches[self.search]
        graph = {} if self.graph is None else {"graph": context.manifest(self.graph).id}
        return EngineSpec(how.engine, {**how.options, **graph})

    def _source(self, context: ReplicationContext) -> Source | None:
        """Resolve the queries without reading them; None if a later step prepares them.

        For perturbed queries, the source is that of the original ones.

        Raises:
            DataError: The queries are missing; the hint has the command that makes them.
        """
        dataset = self._asked(context)
        try:
            return resolve(context.place(dataset.queries), what="query set")
        except DataError as error:
            if dataset.prepare is not None:
                return None
            if dataset.made_by is None:
                raise
            raise DataError(error.message, hint=f"Make it: {dataset.made_by}") from error

    def _place(self, context: ReplicationContext) -> str:
        """Return the path of the queries; before a perturbation, that of the original ones."""
        changed = None if self.perturb is None else context.artifacts.get(self.perturb)
        return context.place(self._asked(context).queries if changed is None else str(changed))

    def _queries(self, context: ReplicationContext) -> _QuerySummary | None:
        """Summarise the queries; None if a later step prepares them.

        Queries of ir_datasets are not read, because that could download them.
        """
        source = self._source(context)
        if source is None:
            return None
        is_changed = self.perturb is not None and context.is_done(self.perturb)
        if isinstance(source, IrdsSource) and not is_changed:
            count = source.stated_count("queries")
            return _QuerySummary(source.id, None, count)
        read = open_queries(self._place(context), judged_by=self.judged_with(context).qrels)
        return _QuerySummary(read.id, read.fingerprint, len(read))

    def _rate(self, context: ReplicationContext, how: ReplicatedSearch) -> Rate | None:
        """Find scores per second for an exact search, queries per second for another search."""
        model = context.manifest_if_done(self.encode.model)
        is_plain = self.encode.model.pooling is not None
        has_vectors = is_plain if model is None else not has_q_nets(model)
        scoring = {} if has_vectors else _SCORING
        assumed = scoring if how.engine == "exact" else _WALKING.get(_preset(how), {})

        def amount(run: Manifest) -> int:
            made_by = (run.inputs.get("model"), run.inputs.get("engine"))
            if model is None or made_by != (model.id, how.engine):
                return 0
            each = count_of(run, "n_documents") if how.engine == "exact" else 1
            return each * count_of(run, "n_queries")

        return context.rates.find("run", amount, assumed)


@dataclass(frozen=True, slots=True)
class TextSearchStep(SearchStep):
    """Searches the texts of a dataset by an engine without a model.

    The step ``encode`` has kept the texts.
    """

    @property
    def way(self) -> str:
        """The search, for a line of output."""
        return f"without a model ({self.search})"

    def existing(self, context: ReplicationContext) -> Manifest | None:
        """Return the run of this search if it is stored."""
        queries = self._queries(context)
        if queries is None:
            return None
        options = self._options(context)
        plan = TextPlan.resolve(context.store, self._model(context), options, None)
        return plan.existing(queries, options)

    def estimate(self, context: ReplicationContext) -> Estimate:
        """Estimate the size of the run. Its time is short beside that of encoding."""
        return Estimate(None, super().estimate(context).bytes)

    def _model(self, context: ReplicationContext) -> ModelSource:
        return ModelSource()


@dataclass(frozen=True, slots=True)
class _QuerySummary:
    """Summary of a query set. The fingerprint is None if the queries were not read."""

    id: str
    fingerprint: str | None
    count: int | None


def _basis(how: ReplicatedSearch, rate: Rate) -> str:
    """Describe the rate of an estimate in words."""
    if how.engine == "exact":
        return f"scoring {rate.per_second:,.0f} documents/s a query, {rate.source}"
    each = f"{how.engine} {1000 / rate.per_second:,.1f} ms a query"
    return f"{each if rate.is_measured else _preset(how)}, {rate.source}"


def _preset(how: ReplicatedSearch) -> str:
    """Return the preset of a search; empty if it has none."""
    return str(how.options.get("preset", ""))
