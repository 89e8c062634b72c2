"""Search by questions as they come, with a model that is loaded once and texts in the answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from hypencli.answers import Answer, Hit
from hypencli.data.reading.rows import checked_text
from hypencli.errors import DataError, UsageError
from hypencli.ops.models import LoadedModel, ModelSource, display_name
from hypencli.ops.search.calibrations import plan_search
from hypencli.ops.search.engines import EnginePlan
from hypencli.ops.search.options import SearchOptions
from hypencli.ops.search.scoring import encoded_queries, search_rankings
from hypencli.ops.search.target import SearchTarget
from hypencli.ops.search.text_search import TextPlan, is_text_engine
from hypencli.progress import SILENT, Progress
from hypencli.runtime import resolve_dtype
from hypestore import EmbeddingSet, Store, TextNotKept

if TYPE_CHECKING:
    from hypencli.engine.results import Engine, OnScored, SearchResult


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
        options = options or SearchOptions(k=10)
        target = SearchTarget.resolve(store, model, options.target, progress=progress)
        plan, embeddings = plan_search(target, options), target.open()
        _refuse_run(plan)
        open_engine = plan.open(embeddings, progress)
        loaded = target.load(options.scoring, trust_code=model.trust_code)
        self._set(options, plan, loaded, embeddings, open_engine)

    @classmethod
    def sharing(
        cls,
        target: SearchTarget,
        options: SearchOptions,
        loaded: LoadedModel,
        embeddings: EmbeddingSet,
    ) -> Asker:
        """Make an asker with a model and an embedding set that are open, and that others use too.

        Raises:
            UsageError: The engine does not support the model, or a required artifact is missing.
            ModelError: The model has no q-nets of the width in the options.
        """
        from hypencli.models.encoding import refuse_width

        if options.scoring.width is not None:
            refuse_width(loaded.dual.query_encoder, options.scoring.width)
        plan = plan_search(target, options)
        _refuse_run(plan)
        asker = cls.__new__(cls)
        asker._set(options, plan, loaded, embeddings, plan.open(embeddings, SILENT))
        return asker

    def _set(
        self,
        options: SearchOptions,
        plan: EnginePlan,
        loaded: LoadedModel,
        embeddings: EmbeddingSet,
        open_engine: Callable[[Sequence[str]], Engine],
    ) -> None:
        self._options = options
        self._engine = plan.entry.name
        self._loaded = loaded
        self._embeddings = embeddings
        self._open_engine = open_engine

    def ask(self, question: str, *, k: int | None = None) -> Answer:
        """Find the best documents for a question.

        Args:
            question: The question.
            k: Number of documents. None selects that of the options.

        Raises:
            DataError: The question is empty, or is not valid Unicode.
            ModelError: The model has no q-nets of the width in the options.
        """
        return self.ask_many([question], k=k)[0]

    def ask_many(
        self,
        questions: Sequence[str],
        *,
        k: int | None = None,
        on_scored: OnScored | None = None,
        with_texts: bool = True,
    ) -> list[Answer]:
        """Find the best documents for questions that share one pass over the corpus.

        Each answer has the bits that it has when its question is asked alone: the transformer reads
        one question at a time, and the scores of an engine do not depend on other questions.

        Args:
            questions: At least one question.
            k: Number of documents. None selects that of the options.
            on_scored: Called with the number of scores just computed. An error that it raises ends
                the search.
            with_texts: Whether hits carry the texts of the documents.

        Raises:
            DataError: A question is empty, or is not valid Unicode.
            ModelError: The model has no q-nets of the width in the options.
        """
        from hypencli.engine.scorers import scorer_of
        from hypencli.models.encoding import QueryStates

        for question in questions:
            check_question(question)
        options = replace(self._options, k=k or self._options.k)
        started = time.perf_counter()
        encoded = [
            encoded_queries(self._loaded, [question], options.scoring) for question in questions
        ]
        joined = QueryStates.joined(encoded)
        dtype = resolve_dtype(options.scoring.dtype)
        scorer = scorer_of(joined, range(len(joined)), self._embeddings.dim, dtype)
        encoding = time.perf_counter() - started
        ids = [""] * len(questions)
        result = search_rankings(self._open_engine(ids), scorer, ids, options, on_scored=on_scored)
        searched = time.perf_counter()
        texts = _texts(self._embeddings, result) if with_texts else {}
        ended = time.perf_counter()
        stages = asdict(result.seconds.plus(query_encoding=encoding))
        del stages["writing"]
        stages |= {"texts": ended - searched}
        return [
            self._answer(question, place, result, texts)(
                seconds=ended - started,
                query_max_length=options.scoring.query_max_length,
                is_cut=encoded[place].n_cut > 0,
                k=options.k,
                batch=len(questions),
                stages=stages,
            )
            for place, question in enumerate(questions)
        ]

    def _answer(
        self, question: str, place: int, result: SearchResult, texts: Mapping[str, str]
    ) -> Callable[..., Answer]:
        """Return what makes the answer at a place of a result; it takes the other fields."""
        bounds = result.recall_bounds
        return partial(
            Answer,
            question=question,
            model=display_name(self._loaded.manifest),
            embeddings=display_name(self._embeddings.manifest),
            n_documents=self._embeddings.n,
            hits=_hits(result, place, texts),
            evaluations=int(result.evaluations[place]),
            recall_bound=None if bounds is None else float(bounds[place]),
            engine=self._engine,
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
        self._name = plan.entry.name
        self._embeddings, self._engine = plan.open(progress)

    def ask(self, question: str, *, k: int | None = None) -> Answer:
        """Find the best documents for a question; see :meth:`Asker.ask`.

        Raises:
            DataError: The question is empty, or is not valid Unicode.
        """
        return self.ask_many([question], k=k)[0]

    def ask_many(
        self,
        questions: Sequence[str],
        *,
        k: int | None = None,
        on_scored: OnScored | None = None,
        with_texts: bool = True,
    ) -> list[Answer]:
        """Find the best documents for several questions; see :meth:`Asker.ask_many`.

        Raises:
            DataError: A question is empty, or is not valid Unicode.
        """
        for question in questions:
            check_question(question)
        k = k or self._options.k
        started = time.perf_counter()
        result = self._engine.search(questions, k=k, on_scored=on_scored)
        searched = time.perf_counter()
        texts = _texts(self._embeddings, result) if with_texts else {}
        ended = time.perf_counter()
        stages = asdict(result.seconds)
        del stages["writing"]
        return [
            Answer(
                question=question,
                model=None,
                embeddings=display_name(self._embeddings.manifest),
                n_documents=self._embeddings.n,
                hits=_hits(result, place, texts),
                seconds=ended - started,
                query_max_length=None,
                is_cut=False,
                evaluations=int(result.evaluations[place]),
                engine=self._name,
                k=k,
                batch=len(questions),
                stages={**stages, "texts": ended - searched},
            )
            for place, question in enumerate(questions)
        ]


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


def _refuse_run(plan: EnginePlan) -> None:
    """Refuse an engine that reads an earlier run, which has no documents for a new question."""
    if "run" in plan.needed:
        raise UsageError(
            f"A run, {display_name(plan.needed['run'])}, has no documents for a new question.",
            hint="Search a query set with it: hype search",
        )


def _hits(result: SearchResult, place: int, texts: Mapping[str, str]) -> list[Hit]:
    ranked = enumerate(result.rankings[place], 1)
    return [Hit(rank, doc_id, score, texts.get(doc_id)) for rank, (doc_id, score) in ranked]


def _texts(embeddings: EmbeddingSet, result: SearchResult) -> dict[str, str]:
    """Read the texts of all ranked documents; none if the embedding set keeps none."""
    doc_ids = list(dict.fromkeys(doc_id for each in result.rankings for doc_id, _ in each))
    try:
        texts = embeddings.texts(embeddings.ordinals(doc_ids))
    except TextNotKept:
        return {}
    return dict(zip(doc_ids, texts, strict=True))


def check_question(question: str) -> None:
    """Refuse a question that is empty or no text.

    Raises:
        DataError: The question is empty, or is not valid Unicode.
    """
    checked_text(question, "The question")
    if not question.strip():
        raise DataError("The question is empty.", hint='Ask one: hype query "how do I …?"')
