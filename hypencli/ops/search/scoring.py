"""From queries to rankings: q-nets or vectors in batches, a scorer, and what an engine gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hypencli.ops.models import LoadedModel
from hypencli.ops.search.options import SearchOptions
from hypencli.records import Ranking
from hypencli.runtime import resolve_device, resolve_dtype
from hypestore import RunWriter

if TYPE_CHECKING:
    import torch

    from hypencli.engine.results import (
        Engine,
        OnScored,
        SearchResult,
    )
    from hypencli.engine.scorers import Scorer
    from hypencli.models.encoding import QueryStates
    from hypencli.models.qnets.batch import QNetBatch


Q_NET_BYTES = 1 << 30
"""Memory that the q-nets of one batch of queries may take when ``batch_queries`` is automatic."""


def encoded_queries(loaded: LoadedModel, texts: list[str], options: SearchOptions) -> QueryStates:
    """The queries, read by the model of a search."""
    from hypencli.models.encoding import EncodingOptions, encode_queries

    device = resolve_device(options.device)
    settings = EncodingOptions(max_length=options.query_max_length, device=device)
    return encode_queries(
        loaded.dual.query_encoder, loaded.tokenizer, texts, settings, width=options.width
    )


def query_batches(encoded: QueryStates, size: int | None = None) -> Iterator[tuple[int, int]]:
    """First and last place of the queries that are searched together, batch after batch.

    Args:
        encoded: All queries.
        size: Queries of a batch; None takes as many as 1 GiB of q-nets holds, at most 256, and all
            queries at once where they are vectors.
    """
    if size is None and encoded.has_q_nets and len(encoded):
        size = max(1, min(256, Q_NET_BYTES // max(1, encoded.q_net_bytes)))
    size = size or max(1, len(encoded))
    for start in range(0, len(encoded), size):
        yield start, min(start + size, len(encoded))


def make_scorer(encoded: QueryStates, start: int, stop: int, dim: int, dtype: str) -> Scorer:
    """The scorer of the queries from ``start`` to ``stop``: q-nets, or inner products."""
    from hypencli.engine.scorers import InnerProductScorer, QNetScorer

    arithmetic = resolve_dtype(dtype)
    if encoded.has_q_nets:
        nets = [_in_dtype(net, arithmetic) for net in encoded.q_nets(start, stop)]
        return QNetScorer(nets, dim)
    return InnerProductScorer(encoded.vectors(start, stop).to(arithmetic))


def _in_dtype(net: QNetBatch, dtype: torch.dtype) -> QNetBatch:
    return net if net.dtype == dtype else net.to(dtype=dtype)


def search_rankings(
    engine: Engine,
    scorer: Scorer,
    query_ids: Sequence[str],
    options: SearchOptions,
    on_scored: OnScored | None = None,
) -> SearchResult:
    """What an engine finds for one batch of queries."""
    result = engine.search(scorer, k=options.k + options.exclude_same_id, on_scored=on_scored)
    if not options.exclude_same_id:
        return result
    rankings = [
        [(doc_id, score) for doc_id, score in ranking if doc_id != query_id][: options.k]
        for query_id, ranking in zip(query_ids, result.rankings, strict=True)
    ]
    return replace(result, rankings=rankings)


def append_rankings(writer: RunWriter, query_ids: list[str], rankings: list[Ranking]) -> int:
    """Write rankings to a run, ranks from 1; gives the number of rows."""
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
