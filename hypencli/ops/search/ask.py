"""Search by single questions, with a model that is loaded once and texts in the answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypencli.data.reading.rows import checked_text
from hypencli.errors import DataError, UsageError
from hypencli.ops.models import ModelSource, display_name
from hypencli.ops.search.calibrations import plan_search
from hypencli.ops.search.options import SearchOptions
from hypencli.ops.search.scoring import encoded_queries, search_rankings
from hypencli.ops.search.target import SearchTarget
from hypencli.ops.search.text_search import TextPlan, is_text_engine
from hypencli.progress import SILENT, Progress
from hypencli.records import Ranking
from hypencli.runtime import resolve_dtype
from hypencli.tabular import Row, Tabular
from hypestore import EmbeddingSet, Store, TextNotKept


@dataclass(frozen=True, slots=True)
class Hit:
    """One ranked document. ``text`` is None if the embedding set has no texts."""

    rank: int
    doc_id: str
    score: float
    text: str | None


@dataclass(frozen=True, slots=True)
class Answer(Tabular):
    """Ranked documents for one question.

    Attributes:
        question: The question.
        model: Name or id of the model; None for an engine without one.
        embeddings: Name or id of the embedding set.
        n_documents: Number of documents searched.
        hits: The best documents, in order of rank.
        seconds: Time of the search in seconds.
        query_max_length: Maximum number of tokens of a question; None if it is not cut.
        is_cut: Whether the question has more tokens, and was cut.
        evaluations: Documents that were scored.
        recall_bound: A lower bound on the recall, if the engine had a recall to reach.
    """

    question: str
    model: str | None
    embeddings: str
    n_documents: int
    hits: list[Hit]
    seconds: float
    query_max_length: int | None
    is_cut: bool
    evaluations: int = 0
    recall_bound: float | None = None

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        rows = [(hit.rank, hit.doc_id, hit.score, hit.text) for hit in self.hits]
        return ("rank", "doc_id", "score", "text"), rows

    def _title(self) -> str:
        return self.question


class Asker:
    """Answers questions from one embedding set with one model.

    Args:
        store: The project store.
        model: The model.
        options: Embeddings, engine, number of documents, and length of a query.
        progress: Where to report.

    Raises:
        UsageError: No embedding set or several sets fit the model, or the engine reads a run.
    """

    def __init__(
        self,
        store: Store,
        model: ModelSource,
        options: SearchOptions | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self._options = options or SearchOptions(k=10)
        target = SearchTarget.resolve(store, model, self._options.target, progress=progress)
        plan = plan_search(target, self._options)
        if "run" in plan.needed:
            raise UsageError(
                f"A run, {display_name(plan.needed['run'])}, has no documents for a new question.",
                hint="Search a query set with it: hype search",
            )
        self._embeddings = target.open()
        self._open_engine = plan.open(self._embeddings, progress)
        self._loaded = target.load(self._options.scoring, trust_code=model.trust_code)

    def ask(self, question: str, *, k: int | None = None) -> Answer:
        """Find the best documents for a question.

        Args:
            question: The question.
            k: Number of documents. None selects that of the options.

        Raises:
            DataError: The question is empty, or is not valid Unicode.
            ModelError: The model has no q-nets of the width in the options.
        """
        from hypencli.engine.scorers import scorer_of

        _refuse_empty(question)
        options = replace(self._options, k=k or self._options.k)
        started = time.perf_counter()
        encoded = encoded_queries(self._loaded, [question], options.scoring)
        dtype = resolve_dtype(options.scoring.dtype)
        scorer = scorer_of(encoded, range(1), self._embeddings.dim, dtype)
        result = search_rankings(self._open_engine([""]), scorer, [""], options)
        return Answer(
            question=question,
            model=display_name(self._loaded.manifest),
            embeddings=display_name(self._embeddings.manifest),
            n_documents=self._embeddings.n,
            hits=_hits(self._embeddings, result.rankings[0]),
            seconds=time.perf_counter() - started,
            query_max_length=options.scoring.query_max_length,
            is_cut=encoded.n_cut > 0,
            evaluations=int(result.evaluations[0]),
            recall_bound=None if result.recall_bounds is None else float(result.recall_bounds[0]),
        )


class TextAsker:
    """Answers questions from the texts of one embedding set by an engine without a model.

    Args:
        store: The project store.
        model: No model.
        options: Embeddings, engine, and number of documents.
        progress: Where to report.

    Raises:
        UsageError: An option does not fit the engine, or no embedding set or several sets fit.
        MissingDependencyError: The library of the engine is not installed.
    """

    def __init__(
        self,
        store: Store,
        model: ModelSource,
        options: SearchOptions,
        progress: Progress = SILENT,
    ) -> None:
        self._options = options
        plan = TextPlan.resolve(store, model, options, None)
        self._embeddings, self._engine = plan.open(progress)

    def ask(self, question: str, *, k: int | None = None) -> Answer:
        """Find the best documents for a question; see :meth:`Asker.ask`.

        Raises:
            DataError: The question is empty, or is not valid Unicode.
        """
        _refuse_empty(question)
        started = time.perf_counter()
        result = self._engine.search([question], k=k or self._options.k)
        return Answer(
            question=question,
            model=None,
            embeddings=display_name(self._embeddings.manifest),
            n_documents=self._embeddings.n,
            hits=_hits(self._embeddings, result.rankings[0]),
            seconds=time.perf_counter() - started,
            query_max_length=None,
            is_cut=False,
            evaluations=int(result.evaluations[0]),
        )


def open_asker(
    store: Store,
    model: ModelSource,
    options: SearchOptions | None = None,
    progress: Progress = SILENT,
) -> Asker | TextAsker:
    """Open what answers questions by the engine of the options.

    Raises:
        UsageError: An option does not fit the engine, or no embedding set or several sets fit.
    """
    if options is not None and is_text_engine(options.engine):
        return TextAsker(store, model, options, progress)
    return Asker(store, model, options, progress)


def _refuse_empty(question: str) -> None:
    checked_text(question, "The question")
    if not question.strip():
        raise DataError("The question is empty.", hint='Ask one: hype query "how do I …?"')


def _hits(embeddings: EmbeddingSet, ranking: Ranking) -> list[Hit]:
    """Read the texts of ranked documents."""
    doc_ids = [doc_id for doc_id, _ in ranking]
    try:
        texts: list[str | None] = list(embeddings.texts(embeddings.ordinals(doc_ids)))
    except TextNotKept:
        texts = [None] * len(doc_ids)
    return [
        Hit(rank, doc_id, score, text)
        for rank, ((doc_id, score), text) in enumerate(zip(ranking, texts, strict=True), 1)
    ]
