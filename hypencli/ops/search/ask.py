"""Search by single questions, with a model that is loaded once and texts in the answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypencli.data.reading.rows import checked_text
from hypencli.errors import DataError
from hypencli.ops.models import ModelSource, display_name
from hypencli.ops.search.calibrations import plan_search
from hypencli.ops.search.options import SearchOptions
from hypencli.ops.search.scoring import encoded_queries, search_rankings
from hypencli.ops.search.target import SearchTarget
from hypencli.progress import SILENT, Progress
from hypencli.runtime import resolve_dtype
from hypencli.tabular import Row, Tabular
from hypestore import Store, TextNotKept


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
        model: Name or id of the model.
        embeddings: Name or id of the embedding set.
        n_documents: Number of documents searched.
        hits: The best documents, in order of rank.
        seconds: Time of the search in seconds.
        query_max_length: Maximum number of tokens of a question.
        is_cut: Whether the question has more tokens, and was cut.
        evaluations: Documents that were scored.
        recall_bound: A lower bound on the recall, if the engine had a recall to reach.
    """

    question: str
    model: str
    embeddings: str
    n_documents: int
    hits: list[Hit]
    seconds: float
    query_max_length: int
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
        UsageError: No embedding set or several sets fit the model.
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

        checked_text(question, "The question")
        if not question.strip():
            raise DataError("The question is empty.", hint='Ask one: hype query "how do I …?"')
        options = replace(self._options, k=k or self._options.k)
        started = time.perf_counter()
        encoded = encoded_queries(self._loaded, [question], options.scoring)
        dtype = resolve_dtype(options.scoring.dtype)
        scorer = scorer_of(encoded, range(1), self._embeddings.dim, dtype)
        result = search_rankings(self._open_engine([""]), scorer, [""], options)
        ranking = result.rankings[0]
        texts = self._texts([doc_id for doc_id, _ in ranking])
        hits = [
            Hit(rank, doc_id, score, text)
            for rank, ((doc_id, score), text) in enumerate(zip(ranking, texts, strict=True), 1)
        ]
        return Answer(
            question=question,
            model=display_name(self._loaded.manifest),
            embeddings=display_name(self._embeddings.manifest),
            n_documents=self._embeddings.n,
            hits=hits,
            seconds=time.perf_counter() - started,
            query_max_length=options.scoring.query_max_length,
            is_cut=encoded.n_cut > 0,
            evaluations=int(result.evaluations[0]),
            recall_bound=None if result.recall_bounds is None else float(result.recall_bounds[0]),
        )

    def _texts(self, doc_ids: list[str]) -> list[str | None]:
        try:
            return list(self._embeddings.texts(self._embeddings.ordinals(doc_ids)))
        except TextNotKept:
            return [None] * len(doc_ids)
