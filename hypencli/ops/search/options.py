"""What a search is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypencli.engine.seconds import SearchSeconds
from hypencli.ops.drafts import NameNotGiven
from hypencli.ops.evaluation.run import Evaluated
from hypencli.tabular import NotebookRecord


@dataclass(frozen=True, slots=True)
class Target:
    """Which documents are searched.

    Attributes:
        embeddings: The embedding set, by name or id; None finds it by model and corpus.
        corpus: Corpus id, where the queries do not say and several are encoded.
    """

    embeddings: str | None = None
    corpus: str | None = None


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine searches, and how.

    Attributes:
        name: See ``hype engines``.
        options: Its options by name, as values or as text.
        recall: The recall to reach, by a calibration that says which options reach it.
    """

    name: str = "exact"
    options: Mapping[str, object] = field(default_factory=dict)
    recall: float | None = None


@dataclass(frozen=True, slots=True)
class Scoring:
    """How queries are read, and how documents are scored.

    Attributes:
        query_max_length: Tokens a query is cut to.
        width: Hidden width of the q-nets, of a model that nests several; None is the full one.
        dtype: Arithmetic of the scores.
        device: Where to score; None takes the best there is.
        batch_queries: Queries scored in one pass over the corpus; None fills 1 GiB with q-nets.
    """

    query_max_length: int = 64
    width: int | None = None
    dtype: str = "float32"
    device: str | None = None
    batch_queries: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """What is made of a search.

    Attributes:
        name: Name of the run.
        qrels: Judgements to evaluate with; None takes the query set's own, if any.
        measures: What to measure; None takes the default set.
        check: Also search so many of the queries exactly, and say what the search has missed.
    """

    name: str | None = None
    qrels: str | None = None
    measures: tuple[str, ...] | None = None
    check: int | None = None


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How a search is done.

    Attributes:
        k: Documents a query gets.
        exclude_same_id: Leave out the document whose id is the query's.
        target: Which documents.
        engine: How they are searched.
        scoring: How they are scored.
        output: What is made of it.
    """

    k: int = 1000
    exclude_same_id: bool = False
    target: Target = field(default_factory=Target)
    engine: EngineSpec = field(default_factory=EngineSpec)
    scoring: Scoring = field(default_factory=Scoring)
    output: Output = field(default_factory=Output)

    @property
    def depth(self) -> int:
        """Documents that the engine finds for a query: one more where its own is left out."""
        return self.k + self.exclude_same_id


@dataclass(frozen=True, slots=True)
class CountSummary:
    """One count over the queries of a run."""

    mean: float
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class Check:
    """An approximate search against the exact one.

    Attributes:
        against: The exact run; None where queries were searched exactly for the check.
        n_queries: Queries compared.
        recall: Depth -> mean share of the exact best so many that the search has found.
        measures: Measure -> its value by the exact and by the approximate search, over the compared
            queries; empty where no judgements are known.
    """

    against: str | None
    n_queries: int
    recall: dict[str, float]
    measures: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FirstPassSummary:
    """What a scan in a fast dtype needed beside itself, over the queries of a run.

    Attributes:
        dtype: Arithmetic of the scan.
        certified: Whether float32 has certified it.
        rescored: Documents scored again, a query.
        widened: Queries for which more was scored again than the first so many.
        added: The most documents that were added for one of them.
        bound: The largest distance allowed for between a score and its scan.
        fell_back: Queries that were searched in float32 after all.
    """

    dtype: str
    certified: bool
    rescored: CountSummary
    widened: int
    added: int
    bound: float
    fell_back: int


@dataclass(frozen=True, slots=True)
class Searched(NotebookRecord):
    """What a search did.

    Attributes:
        run: Id of the run.
        width: Hidden width of the q-nets, where one was asked for.
        evaluations: q-net evaluations a query; None for a bi-encoder.
        iterations: Steps a query, of an engine that takes some.
        check: What an approximate search has missed, where it is known.
        scan: What a scan in a fast dtype needed, where there was one.
        existing: Whether the same search had been done before, and nothing was done now.
        evaluation: Measures, where judgements are known.
        name_not_given: A name that was asked for and that it does not have, made before.
    """

    run: str
    name: str | None
    model: str
    embeddings: str
    corpus: str
    queries: str
    engine: str
    k: int
    width: int | None
    n_queries: int
    n_documents: int
    n_results: int
    seconds: SearchSeconds
    existing: bool
    evaluations: CountSummary | None = None
    iterations: CountSummary | None = None
    check: Check | None = None
    scan: FirstPassSummary | None = None
    evaluation: Evaluated | None = None
    name_not_given: NameNotGiven | None = None
