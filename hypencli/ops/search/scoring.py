"""Encoding of queries, search of a batch by an engine, and writing of rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hypencli.ops.models import LoadedModel
from hypencli.ops.search.options import Scoring, SearchOptions
from hypencli.records import Ranking
from hypencli.runtime import resolve_device
from hypestore import RunWriter

if TYPE_CHECKING:
    from hypencli.engine.results import Engine, OnScored, SearchResult
    from hypencli.engine.scorers import Scorer
    from hypencli.models.encoding import QueryStates


def encoded_queries(loaded: LoadedModel, texts: list[str], scoring: Scoring) -> QueryStates:
    """Encode queries with the model of a search."""
    from hypencli.models.encoding import EncodingOptions, encode_queries

    device = resolve_device(scoring.device)
    settings = EncodingOptions(max_length=scoring.query_max_length, device=device)
    return encode_queries(
        loaded.dual.query_encoder, loaded.tokenizer, texts, settings, width=scoring.width
    )


def search_rankings(
    engine: Engine,
    scorer: Scorer,
    query_ids: Sequence[str],
    options: SearchOptions,
    on_scored: OnScored | None = None,
) -> SearchResult:
    """Search one batch of queries with an engine."""
    result = engine.search(scorer, k=options.depth, on_scored=on_scored)
    return without_own_documents(result, query_ids, options)


def without_own_documents(
    result: SearchResult, query_ids: Sequence[str], options: SearchOptions
) -> SearchResult:
    """Leave out the document with the id of its query, where the options say so."""
    if not options.exclude_same_id:
        return result
    rankings = [
        [(doc_id, score) for doc_id, score in ranking if doc_id != query_id][: options.k]
        for query_id, ranking in zip(query_ids, result.rankings, strict=True)
    ]
    return replace(result, rankings=rankings)


def append_rankings(writer: RunWriter, query_ids: list[str], rankings: list[Ranking]) -> int:
    """Write rankings to a run, with ranks from 1, and return the number of rows."""
    queries = [
        query_id for query_id, ranking in zip(query_ids, rankings, strict=True) for _ in ranking
    ]
    writer.append(
        queries,
        [doc_id for ranking in rankings for doc_id, _ in ranking],
        [rank for ranking in rankings for rank in range(1, len(ranking) + 1)],
        [score for ranking in rankings for _, score in ranking],
    )
    return len(queries)
