"""What a search is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from hypencli.ops.drafts import NameNotGiven
from hypencli.ops.evaluation.run import Evaluated
from hypencli.tabular import NotebookRecord

if TYPE_CHECKING:
    from hypencli.engine.graph_walk import WalkOptions
    from hypencli.engine.guided import GuidedOptions
    from hypencli.engine.results import EngineSeconds

EngineName: TypeAlias = Literal[
    "exact", "graph", "guided", "rerank", "hnsw", "faiss-flat", "faiss-hnsw", "faiss-ivfpq"
]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
"""Every way to search."""

FirstPassDtype: TypeAlias = Literal["auto", "int8", "bfloat16", "float32"]

VECTOR_INDEXES: tuple[EngineName, ...] = ("hnsw", "faiss-flat", "faiss-hnsw", "faiss-ivfpq")
"""Those that search with query vectors alone: for bi-encoders."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How a search is done.

    Attributes:
        k: Documents a query gets.
        engine: One of :data:`ENGINES`.
        embeddings: The embedding set; None finds it by model and corpus.
        corpus: Corpus id, where the queries do not say and several are encoded.
        query_max_length: Tokens a query is cut to.
        width: Hidden width of the q-nets, of a model that nests several; None is the full one.
        batch_queries: Queries scored in one pass over the corpus; None fills 1 GiB with q-nets.
        exclude_same_id: Leave out the document whose id is the query's.
        device: Where to score; None takes the best there is.
        dtype: Arithmetic of the scores.
        name: Name of the run.
        qrels: Judgements to evaluate with; None takes the query set's own, if any.
        measures: What to measure; None takes the default set.
        graph: The neighbour graph of ``graph``; None takes one of the embedding set.
        walk: How ``graph`` walks; None is ``efficient-1`` of the paper.
        guided_options: How ``guided`` chooses.
        recall: The recall that the budget of ``guided`` is to reach, by the calibration; None
            leaves it to ``guide``.
        index: Parameters of a vector index, by their names.
        rerank: The run whose documents ``rerank`` scores.
        check: Also search so many of the queries exactly, and say what the search has missed.
        scan: Arithmetic in which ``exact`` scores all documents before float32 decides; ``auto`` is
            what this machine is fastest at.
        certify: Score again in float32 until nothing left can reach the best ``k``, under a bound
            that is measured.
    """

    k: int = 1000
    engine: EngineName = "exact"
    embeddings: str | None = None
    corpus: str | None = None
    query_max_length: int = 64
    width: int | None = None
    batch_queries: int | None = None
    exclude_same_id: bool = False
    device: str | None = None
    dtype: str = "float32"
    name: str | None = None
    qrels: str | None = None
    measures: tuple[str, ...] | None = None
    graph: str | None = None
    walk: WalkOptions | None = None
    guided_options: GuidedOptions | None = None
    recall: float | None = None
    index: tuple[tuple[str, int], ...] = ()
    rerank: str | None = None
    check: int | None = None
    scan: FirstPassDtype = "auto"
    certify: bool = True


@dataclass(frozen=True, slots=True)
class SearchSeconds:
    """Where the time of a search went.

    Attributes:
        query_encoding: Reading the queries and making q-nets or vectors.
        selection: Choosing which documents to score.
        scoring: Reading vectors and scoring them.
        topk: Keeping and ordering the best k.
        writing: Writing the run.
    """

    query_encoding: float = 0.0
    selection: float = 0.0
    scoring: float = 0.0
    topk: float = 0.0
    writing: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return self.query_encoding + self.search + self.writing

    @property
    def search(self) -> float:
        """The engine's part: selection, scoring and top-k."""
        return self.selection + self.scoring + self.topk

    def plus(self, **parts: float) -> SearchSeconds:
        """The same with the given parts increased."""
        return replace(self, **{name: getattr(self, name) + more for name, more in parts.items()})

    def with_engine(self, seconds: EngineSeconds) -> SearchSeconds:
        """The same with an engine's time added."""
        return self.plus(selection=seconds.selection, scoring=seconds.scoring, topk=seconds.topk)


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
