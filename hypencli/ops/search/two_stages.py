"""Search in two stages: a cheap first stage, then reranking by q-nets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypencli.data.queries import QuerySet
from hypencli.ops.models import ModelSource
from hypencli.ops.search.options import EngineSpec, Output, Scoring, Searched, SearchOptions, Target
from hypencli.ops.search.run import search
from hypencli.ops.search.target import SearchTarget
from hypencli.ops.search.text_search import is_text_engine, text_engine_names
from hypencli.progress import SILENT, Progress
from hypestore import Store


@dataclass(frozen=True, slots=True)
class FirstStage:
    """Options of the first stage.

    Attributes:
        model: Model of the first stage, such as a bi-encoder; no name for an engine of texts.
        k: Candidates per query.
        engine: Engine of the first stage.
    """

    model: ModelSource
    k: int = 1000
    engine: EngineSpec = field(default_factory=EngineSpec)


def first_stage(model: ModelSource, engine: EngineSpec, *, k: int = 1000) -> FirstStage:
    """Return the first stage that a user names: a model, or an engine of texts such as ``bm25``.

    Args:
        model: The model, or the name of an engine of texts.
        engine: The engine of a model; its options alone count for an engine of texts.
        k: Candidates per query.
    """
    if model.name in text_engine_names():
        return FirstStage(ModelSource(), k, EngineSpec(model.name, engine.options))
    return FirstStage(model, k, engine)


@dataclass(frozen=True, slots=True)
class SearchedTwice:
    """Results of both stages. Each is a run, and the first is a parent of the second."""

    first: Searched
    second: Searched


def search_in_two_stages(
    store: Store,
    queries: QuerySet | None,
    model: ModelSource,
    first: FirstStage,
    options: SearchOptions | None = None,
    progress: Progress = SILENT,
) -> SearchedTwice:
    """Search with the first model, and rerank its results with the second model.

    Args:
        store: The project store.
        queries: The query set. None selects that of the encoded dataset.
        model: Model of the second stage.
        first: First stage. Its embeddings are those of its model and the same corpus.
        options: Options of the second stage, which reranks.
        progress: Where to report.

    Raises:
        UsageError: No embedding set fits one of the models and the corpus.
        DataError: The stages have different documents.
    """
    options = options or SearchOptions()
    target = SearchTarget.resolve(store, model, options.target, queries, progress)
    queries = target.queries(queries, options.output.qrels)
    first_target = Target(corpus=str(target.embeddings.inputs["corpus"]))
    if is_text_engine(first.engine) and target.embeddings.inputs.get("keep_text"):
        first_target = Target(embeddings=target.embeddings.id)
    first_stage = search(
        store,
        queries,
        first.model,
        replace(
            options,
            k=first.k,
            engine=first.engine,
            target=first_target,
            scoring=Scoring(
                query_max_length=options.scoring.query_max_length, device=options.scoring.device
            ),
            output=Output(qrels=options.output.qrels, measures=options.output.measures),
        ),
        progress,
    )
    second = replace(
        options,
        engine=EngineSpec("rerank", {"run": first_stage.run}),
        target=Target(embeddings=target.embeddings.id),
    )
    return SearchedTwice(first_stage, search(store, queries, model, second, progress))
