"""Check of a search against exact search, or against a stored run."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hypencli.data.queries import QuerySet
from hypencli.evaluation.recall import recall_at
from hypencli.ops.evaluation.recall import find_reference
from hypencli.ops.search.options import Check, SearchOptions
from hypencli.records import Ranking
from hypencli.runtime import resolve_device, resolve_dtype
from hypestore import EmbeddingSet, JsonValue, Manifest, ResultsByQuery, Store

if TYPE_CHECKING:
    from hypencli.engine.scorers import Scorer

DEPTHS = (10, 100, 1000)
"""Depths at which recall is measured, up to the depth of the run."""

_SEED = 0
_NAMED = 10


class RankingCounts:
    """Counts of what rankings share with others, query by query.

    Args:
        k: Depth of the rankings.
    """

    def __init__(self, k: int) -> None:
        self._hits: dict[int, list[float]] = {depth: [] for depth in _depths(k)}
        self._n_queries = 0
        self._different: list[str] = []

    def add(self, query_id: str, ranking: Ranking, other: Sequence[str]) -> None:
        """Compare the ranking of a query with the documents of another one, by rank."""
        if not ranking and not other:
            return
        for depth, hits in self._hits.items():
            recall = recall_at(ranking, other, depth)
            if recall is not None:
                hits.append(recall)
        self._n_queries += 1
        if [doc_id for doc_id, _ in ranking] != list(other[: len(ranking)]):
            self._different.append(query_id)

    def check(
        self,
        against: str | None,
        measures: Mapping[str, dict[str, float]] | None = None,
        *,
        name_different: bool = True,
    ) -> Check | None:
        """Summarise the counts; None if nothing was compared."""
        if not self._n_queries:
            return None
        return Check(
            against=against,
            n_queries=self._n_queries,
            recall={
                str(depth): sum(hits) / len(hits) for depth, hits in self._hits.items() if hits
            },
            measures=dict(measures or {}),
            identical=self._n_queries - len(self._different),
            different=self._different[:_NAMED] if name_different else [],
        )


class Checker:
    """Compares the rankings of a run with exact ones, batch by batch.

    If the options have ``check``, this number of random queries is also searched exactly, in one
    arithmetic throughout. Otherwise, if the engine can miss documents, an exact run of the same
    queries in the store is the reference; without one, nothing is compared. The time of the check
    is not part of the times of the run.

    Args:
        store: The project store.
        inputs: Inputs of the run.
        embeddings: The documents.
        queries: All queries of the run.
        options: Options of the search.
        approximate: Whether the engine is one that misses documents.
    """

    def __init__(
        self,
        store: Store,
        inputs: Mapping[str, JsonValue],
        embeddings: EmbeddingSet,
        queries: QuerySet,
        options: SearchOptions,
        *,
        approximate: bool,
    ) -> None:
        self._embeddings = embeddings
        self._options = options
        self._qrels = options.output.qrels or queries.qrels
        self._queries: frozenset[str] | None = None
        self._reference: Manifest | None = None
        self._exact: ResultsByQuery | None = None
        self._compared: dict[str, tuple[Ranking, Ranking]] = {}
        self._approximate = approximate
        self._counts = RankingCounts(options.k)
        check = options.output.check
        if check is not None:
            ids = [query.query_id for query in queries]
            drawn = random.Random(_SEED).sample(ids, min(check, len(ids)))
            self._queries = frozenset(drawn)
        elif approximate:
            self._reference = find_reference(store, inputs)
            if self._reference is not None:
                self._exact = store.run(self._reference.id).by_query()

    def compare(self, scorer: Scorer, query_ids: Sequence[str], rankings: list[Ranking]) -> None:
        """Compare the rankings of a batch of queries."""
        if self._exact is not None:
            for query_id, ranking in zip(query_ids, rankings, strict=True):
                self._counts.add(query_id, ranking, self._exact.doc_ids(query_id))
            return
        places = [i for i, query_id in enumerate(query_ids) if query_id in (self._queries or ())]
        if not places:
            return
        for place, exact in zip(places, self._search(scorer, places, query_ids), strict=True):
            documents = [doc_id for doc_id, _ in exact]
            self._counts.add(query_ids[place], rankings[place], documents)
            self._compared[query_ids[place]] = (exact, rankings[place])

    def result(self) -> Check | None:
        """Summarise the comparison; None if nothing was compared."""
        return self._counts.check(
            None if self._reference is None else self._reference.id,
            self._measures(),
            name_different=not self._approximate,
        )

    def _search(self, scorer: Scorer, places: list[int], query_ids: Sequence[str]) -> list[Ranking]:
        from hypencli.engine.exact import ExactEngine
        from hypencli.ops.search.scoring import search_rankings

        engine = ExactEngine(
            self._embeddings,
            device=resolve_device(self._options.scoring.device),
            dtype=resolve_dtype(self._options.scoring.dtype),
        )
        ids = [query_ids[place] for place in places]
        return search_rankings(engine, scorer.select(places), ids, self._options).rankings

    def _measures(self) -> dict[str, dict[str, float]]:
        """Compute measures of both searches over the judged queries that were searched exactly."""
        if self._qrels is None or not self._compared:
            return {}
        from hypencli.data.qrels import read_qrels
        from hypencli.evaluation import measures

        judged = read_qrels(self._qrels)
        qrels = {query: judged.qrels[query] for query in self._compared if query in judged.qrels}
        if not qrels:
            return {}
        default = measures.default_measures(judged.id, depth=self._options.k)
        wanted = measures.parse_measures(self._options.output.measures or default)
        exact, approximate = (
            measures.evaluate({q: pair[side] for q, pair in self._compared.items()}, qrels, wanted)
            for side in (0, 1)
        )
        return {
            name: {"exact": value, "approximate": approximate.aggregates[name]}
            for name, value in exact.aggregates.items()
        }


def _depths(k: int) -> list[int]:
    return [depth for depth in DEPTHS if depth <= k] or [k]
