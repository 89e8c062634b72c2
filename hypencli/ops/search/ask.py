"""One question at a time: the model is loaded once, answers come with their text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypencli.data.reading.rows import checked_text
from hypencli.errors import DataError
from hypencli.ops.models import (
    ModelSource,
    display_name,
    find_model,
    load_model,
)
from hypencli.ops.search.engines import plan_engine
from hypencli.ops.search.options import SearchOptions
from hypencli.ops.search.scoring import (
    encoded_queries,
    make_scorer,
    search_rankings,
)
from hypencli.ops.select import choose_embeddings
from hypencli.progress import SILENT, Progress
from hypencli.runtime import resolve_device
from hypencli.tabular import Row, Tabular
from hypestore import Store, TextNotKept


@dataclass(frozen=True, slots=True)
class Hit:
    """One ranked document; ``text`` is None where the embedding set keeps no text."""

    rank: int
    doc_id: str
    score: float
    text: str | None


@dataclass(frozen=True, slots=True)
class Answer(Tabular):
    """Ranked documents for one question."""

    question: str
    model: str
    embeddings: str
    n_documents: int
    hits: list[Hit]
    seconds: float

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        rows = [(hit.rank, hit.doc_id, hit.score, hit.text) for hit in self.hits]
        return ("rank", "doc_id", "score", "text"), rows

    def _title(self) -> str:
        return self.question


class Asker:
    """Answers questions from one embedding set with one model.

    Args:
        store: The project store.
        model: The model; its default rules are those of search.
        options: Which embeddings, how many documents, how long a query.
        progress: Where to report.

    Raises:
        UsageError: No embedding set fits the model, or several do.
    """

    def __init__(
        self,
        store: Store,
        model: ModelSource,
        options: SearchOptions | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self._options = options or SearchOptions(k=10)
        manifest = find_model(store, model, progress)
        embedding_set = choose_embeddings(
            store,
            manifest,
            named=self._options.embeddings,
            corpus=self._options.corpus,
            progress=progress,
        )
        self._embeddings = store.embeddings(embedding_set.id)
        plan = plan_engine(store, manifest, embedding_set, self._options)
        self._open_engine = plan.open(self._embeddings, progress)
        self._device = resolve_device(self._options.device)
        self._loaded = load_model(store, manifest, device=self._device, trust_code=model.trust_code)

    def ask(self, question: str, *, k: int | None = None) -> Answer:
        """The best documents for a question.

        Raises:
            DataError: The question is empty, or holds what is not Unicode text.
            ModelError: The model has no q-nets of the width in the options.
        """
        checked_text(question, "The question")
        if not question.strip():
            raise DataError("The question is empty.", hint='Ask one: hype query "how do I …?"')
        options = replace(self._options, k=k or self._options.k)
        started = time.perf_counter()
        encoded = encoded_queries(self._loaded, [question], options)
        scorer = make_scorer(encoded, 0, 1, self._embeddings.dim, options.dtype)
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
        )

    def _texts(self, doc_ids: list[str]) -> list[str | None]:
        try:
            return list(self._embeddings.texts(self._embeddings.ordinals(doc_ids)))
        except TextNotKept:
            return [None] * len(doc_ids)
