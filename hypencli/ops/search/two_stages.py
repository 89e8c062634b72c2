"""Two stages in one: a cheap search of everything, then q-nets over what it has found."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypencli.data.queries import QuerySet
from hypencli.ops.models import ModelSource, find_model
from hypencli.ops.search.options import (
    EngineName,
    Searched,
    SearchOptions,
)
from hypencli.ops.search.run import search
from hypencli.ops.select import choose_embeddings, own_queries
from hypencli.progress import SILENT, Progress
from hypestore import Store


@dataclass(frozen=True, slots=True)
class FirstStage:
    """How the candidates are found.

    Attributes:
        model: The model of the first stage, such as a bi-encoder.
        k: Candidates of a query.
        engine: How they are searched.
        index: Parameters of a vector index, by their names.
    """

    model: ModelSource
    k: int = 1000
    engine: EngineName = "exact"
    index: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SearchedTwice:
    """What the stages did; each is a run of its own, and the second has the first as a parent."""

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
    """Search with the first model, and score what it found with the second.

    Args:
        store: The project store.
        queries: The query set; None takes that of the encoded dataset.
        model: The model of the second stage.
        first: The first stage; the embeddings are those of its model and the same corpus.
        options: The second stage; its engine is ``rerank``.
        progress: Where to report.

    Raises:
        UsageError: No embedding set fits one of the models and the corpus.
        DataError: The stages have different documents.
    """
    options = options or SearchOptions()
    manifest = find_model(store, model, progress)
    embedding_set = choose_embeddings(
        store,
        manifest,
        named=options.embeddings,
        corpus=options.corpus or (None if queries is None else queries.corpus_id),
        progress=progress,
    )
    queries = queries or own_queries(embedding_set)
    first_stage = search(
        store,
        queries,
        first.model,
        SearchOptions(
            k=first.k,
            engine=first.engine,
            corpus=str(embedding_set.inputs["corpus"]),
            query_max_length=options.query_max_length,
            exclude_same_id=options.exclude_same_id,
            device=options.device,
            qrels=options.qrels,
            measures=options.measures,
            index=first.index,
        ),
        progress,
    )
    second = replace(options, engine="rerank", rerank=first_stage.run, embeddings=embedding_set.id)
    return SearchedTwice(first_stage, search(store, queries, model, second, progress))
