"""Two stages in one: a cheap search of everything, then q-nets over what it has found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypencli.data.queries import QuerySet
from hypencli.ops.models import ModelSource
from hypencli.ops.search.options import EngineSpec, Output, Scoring, Searched, SearchOptions, Target
from hypencli.ops.search.run import search
from hypencli.ops.search.target import SearchTarget
from hypencli.progress import SILENT, Progress
from hypestore import Store


@dataclass(frozen=True, slots=True)
class FirstStage:
    """How the candidates are found.

    Attributes:
        model: The model of the first stage, such as a bi-encoder.
        k: Candidates of a query.
        engine: How they are searched.
    """

    model: ModelSource
    k: int = 1000
    engine: EngineSpec = field(default_factory=EngineSpec)


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
        options: The second stage; it reranks.
        progress: Where to report.

    Raises:
        UsageError: No embedding set fits one of the models and the corpus.
        DataError: The stages have different documents.
    """
    options = options or SearchOptions()
    target = SearchTarget.resolve(store, model, options.target, queries, progress)
    queries = target.queries(queries)
    first_stage = search(
        store,
        queries,
        first.model,
        replace(
            options,
            k=first.k,
            engine=first.engine,
            target=Target(corpus=str(target.embeddings.inputs["corpus"])),
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
