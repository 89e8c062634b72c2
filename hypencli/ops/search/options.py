"""Options and results of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypencli.engine.seconds import SearchSeconds
from hypencli.ops.drafts import NameNotGiven
from hypencli.ops.evaluation.run import Evaluated
from hypencli.tabular import NotebookRecord


@dataclass(frozen=True, slots=True)
class Target:
    """Documents to search.

    Attributes:
        embeddings: Name or id of the embedding set. None selects it by model and corpus.
        corpus: Corpus id. None selects the corpus of the queries.
    """

    embeddings: str | None = None
    corpus: str | None = None


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine and its options.

    Attributes:
        name: Name of the engine; ``hype engines`` lists them.
        options: Options by name. A string is parsed as the type of the option.
        recall: Recall to reach, from 0 to 1. A calibration determines the options; without one, an
            engine that bounds its recall searches until the bound is as high.
    """

    name: str = "exact"
    options: Mapping[str, object] = field(default_factory=dict)
    recall: float | None = None


@dataclass(frozen=True, slots=True)
class Scoring:
    """Encoding of queries, and scoring of documents.

    Attributes:
        query_max_length: Maximum number of tokens of a query.
        width: Hidden width of the q-nets, for a model with nested widths. None selects the full
            width.
        dtype: Arithmetic of the scores.
        device: Device of the scores. None selects the best one.
        batch_queries: Queries per pass over the corpus. None selects q-nets of 1 GiB in total.
    """

    query_max_length: int = 64
    width: int | None = None
    dtype: str = "float32"
    device: str | None = None
    batch_queries: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Run and evaluation of a search.

    Attributes:
        name: Name of the run.
        qrels: Judgements for the evaluation. None selects those of the query set, if any.
        measures: Measures of the evaluation. None selects the default set.
        check: Number of queries to also search in exact float32 search without a first pass, to
            measure what the search misses.
        again: Search again although the store has the run, and compare the rankings. Nothing is
            stored.
    """

    name: str | None = None
    qrels: str | None = None
    measures: tuple[str, ...] | None = None
    check: int | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Options of a search.

    Attributes:
        k: Number of documents per query.
        exclude_same_id: Leave out the document with the id of the query.
        target: Documents to search.
        engine: Engine and its options.
        scoring: How documents are scored.
        output: Run and evaluation.
    """

    k: int = 1000
    exclude_same_id: bool = False
    target: Target = field(default_factory=Target)
    engine: EngineSpec = field(default_factory=EngineSpec)
    scoring: Scoring = field(default_factory=Scoring)
    output: Output = field(default_factory=Output)

    @property
    def depth(self) -> int:
        """Documents that the engine must find: ``k``, plus one that may be left out."""
        return self.k + self.exclude_same_id


@dataclass(frozen=True, slots=True)
class CountSummary:
    """Summary of a count over the queries of a run."""

    mean: float
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class BoundSummary:
    """Lower bounds on the recall of the queries of a run.

    Attributes:
        mean: Mean of the bounds, from 0 to 1.
        min: Bound of the query with the lowest.
        confidence: Share of the queries of which the bound should hold.
        exact: Number of queries that were searched exactly; their bound is 1.
    """

    mean: float
    min: float
    confidence: float
    exact: int


@dataclass(frozen=True, slots=True)
class Check:
    """Comparison of a search with exact search, or with a stored run of the same search.

    Attributes:
        against: Id of the run; None if queries were searched exactly for the check.
        n_queries: Number of queries compared.
        recall: Depth -> mean share of the best documents compared with that the search has.
        measures: Measure -> values of the exact and the compared search over the compared queries;
            empty without judgements.
        identical: Number of queries with the same documents in the same order. None in runs of
            earlier versions.
        different: Ids of the first ten queries without, for a search that should miss nothing.
    """

    against: str | None
    n_queries: int
    recall: dict[str, float]
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    identical: int | None = None
    different: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FirstPassSummary:
    """Costs of a first pass, over the queries of a run.

    Attributes:
        dtype: Arithmetic of the first pass, or ``surrogate``.
        certified: Whether the result is error-bounded: scores were checked in float32.
        rescored: Documents per query that were scored again in float32.
        widened: Number of queries with more rescored documents than planned.
        added: Maximum number of additional documents of one of these queries.
        bound: Largest error bound of a score of the first pass.
        fell_back: Number of queries that were searched in float32 completely.
        risk: Number of the best documents of a query that surrogates may be expected to miss, at
            most; 0 without surrogates.
    """

    dtype: str
    certified: bool
    rescored: CountSummary
    widened: int
    added: int
    bound: float
    fell_back: int
    risk: float = 0.0


@dataclass(frozen=True, slots=True)
class Searched(NotebookRecord):
    """Result of a search.

    Attributes:
        run: Id of the run.
        name: Name of the run, if it has one.
        model: Name or id of the model; None for an engine without one.
        embeddings: Id of the embedding set.
        corpus: Id of the corpus.
        queries: Id of the query set.
        engine: Name of the engine.
        k: Number of documents per query.
        width: Hidden width of the q-nets, if the options have one.
        n_queries: Number of queries.
        n_documents: Number of documents searched.
        n_results: Number of results of all queries.
        query_max_length: Maximum number of tokens of a query; None if queries are not cut.
        n_cut: Number of queries with more tokens, which were cut; None if it is unknown.
        seconds: Times of the parts in seconds.
        existing: Whether the store had the run before this call.
        evaluations: q-net evaluations per query; None for a bi-encoder.
        iterations: Iterations per query; None for an engine without iterations.
        recall_bound: Bounds on the recall of the queries, if the engine had a recall to reach.
        check: Comparison with exact search, if there is one.
        scan: Costs of a first pass, if there was one.
        evaluation: Measures, if there are judgements.
        name_not_given: A requested name that an existing run did not get.
        again: Comparison of a repeated search with this run. Times and counts are then those of
            the repeated search.
    """

    run: str
    name: str | None
    model: str | None
    embeddings: str
    corpus: str
    queries: str
    engine: str
    k: int
    width: int | None
    n_queries: int
    n_documents: int
    n_results: int
    query_max_length: int | None
    n_cut: int | None
    seconds: SearchSeconds
    existing: bool
    evaluations: CountSummary | None = None
    iterations: CountSummary | None = None
    recall_bound: BoundSummary | None = None
    check: Check | None = None
    scan: FirstPassSummary | None = None
    evaluation: Evaluated | None = None
    name_not_given: NameNotGiven | None = None
    again: Check | None = None
