"""Defects of the published searches, none of which may come back: one test or more a defect."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from hypencli.engine.blocks import BLOCK_ROWS
from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.graph_walk import GraphEngine, draw_entry_points
from hypencli.engine.guided import GuidedEngine
from hypencli.engine.parameters import GuidedOptions, WalkOptions
from hypencli.engine.rerank import RerankEngine
from hypencli.engine.results import Engine
from hypencli.engine.scorers import InnerProductScorer
from hypencli.ops.search.options import SearchOptions
from hypencli.ops.search.scoring import search_rankings

DIM = 8


def documents(n: int) -> VectorCorpus:
    return VectorCorpus(np.random.default_rng(n).normal(size=(n, DIM)).astype(np.float32))


def queries(q: int) -> InnerProductScorer:
    return InnerProductScorer(torch.randn(q, DIM, generator=torch.Generator().manual_seed(q)))


def by_hand(corpus: VectorCorpus, scorer: InnerProductScorer, k: int) -> list[list[str]]:
    """Ids of the best k documents of each query, by sorting all inner products."""
    scores = scorer.queries.numpy() @ corpus.vectors(np.arange(corpus.n)).T
    return [corpus.ids(np.argsort(-row)[:k]) for row in scores]


def found_ids(engine: Engine, scorer: InnerProductScorer, k: int) -> list[list[str]]:
    rankings = engine.search(scorer, k=k).rankings
    return [[doc_id for doc_id, _ in ranking] for ranking in rankings]


def ring(n: int, k: int) -> np.ndarray:
    """A graph in which each document leads to the next k."""
    return np.array([[(i + j) % n for j in range(1, k + 1)] for i in range(n)], dtype=np.int32)


@pytest.mark.parametrize("left", [1, 3, 99])
def test_the_last_batch_may_have_fewer_documents_than_k(left: int) -> None:
    corpus, scorer = documents(BLOCK_ROWS + left), queries(3)
    assert found_ids(ExactEngine(corpus), scorer, 100) == by_hand(corpus, scorer, 100)
    assert found_ids(ExactEngine(corpus, rows=100), scorer, 100) == by_hand(corpus, scorer, 100)


def test_a_step_of_a_walk_may_have_fewer_documents_than_k() -> None:
    """Two entry points, two neighbours each, and the best 50 of all 60 asked for."""
    corpus, scorer = documents(60), queries(3)
    options = WalkOptions(entry_points=2, candidates=9, max_iterations=99, early_stop=False)
    engine = GraphEngine(corpus, ring(60, 2), options)
    assert found_ids(engine, scorer, 50) == by_hand(corpus, scorer, 50)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_fewer_documents_than_entry_points(n: int) -> None:
    corpus, scorer = documents(n), queries(2)
    engine = GraphEngine(corpus, ring(n, 2) if n > 2 else np.full((n, 2), -1, dtype=np.int32))
    assert sorted(engine.entry_points.tolist()) == list(range(n))
    assert found_ids(engine, scorer, 5) == by_hand(corpus, scorer, 5)


@pytest.mark.parametrize("q", [1, 2])
def test_one_candidate_that_was_not_explored_yet(q: int) -> None:
    """A chain: every step has one candidate, and the last document has no neighbour."""
    corpus, scorer = documents(30), queries(q)
    chain = np.array([[i + 1] for i in range(29)] + [[-1]], dtype=np.int32)
    options = WalkOptions(candidates=1, max_iterations=99, early_stop=False)
    engine = GraphEngine(corpus, chain, options, entry_points=[0])
    assert found_ids(engine, scorer, 30) == by_hand(corpus, scorer, 30)
    assert engine.search(scorer, k=3).iterations.tolist() == [30] * q


def test_one_candidate_is_left_after_all_others() -> None:
    corpus, scorer = documents(12), queries(1)
    graph = np.tile(np.arange(12, dtype=np.int32), (12, 1))
    engine = GraphEngine(corpus, graph, WalkOptions(early_stop=False), entry_points=range(11))
    searched = engine.search(scorer, k=12)
    assert (searched.evaluations.tolist(), searched.iterations.tolist()) == ([12], [2])
    assert len(searched.rankings[0]) == 12


def random_states() -> list[Any]:
    return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]  # noqa: NPY002


def engines(corpus: VectorCorpus) -> dict[str, Engine]:
    return {
        "exact": ExactEngine(corpus),
        "graph": GraphEngine(corpus, ring(corpus.n, 3), WalkOptions(entry_points=20)),
        "guided": GuidedEngine(corpus, GuidedOptions(budget=60)),
        "rerank": RerankEngine(corpus, [np.arange(0, corpus.n, 2)] * 8),
    }


@pytest.mark.parametrize("name", ["exact", "graph", "guided", "rerank"])
def test_a_search_leaves_the_callers_randomness_alone(name: str) -> None:
    before = random_states()
    engines(documents(100))[name].search(queries(3), k=10)
    assert random_states() == before


def test_entry_points_are_those_of_their_seed_alone() -> None:
    state = random.getstate()
    try:
        drawn = []
        for seed in (1, 2):
            random.seed(seed)
            drawn.append(draw_entry_points(1000, WalkOptions(entry_points=50)).tolist())
    finally:
        random.setstate(state)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 50
    assert draw_entry_points(1000, WalkOptions(entry_points=50, seed=1)).tolist() != drawn[0]


@pytest.mark.parametrize("name", ["exact", "graph", "guided", "rerank"])
def test_the_query_itself_can_be_left_out_of_every_search(name: str) -> None:
    """Queries that are documents: the rest of the ranking is as deep as was asked for."""
    corpus = documents(100)
    ids = [str(place) for place in (4, 8, 50)]
    scorer = InnerProductScorer(torch.from_numpy(10 * corpus.vectors(np.array([4, 8, 50]))))
    engine = engines(corpus)[name]
    deep = engine.search(scorer, k=11)
    actual = search_rankings(engine, scorer, ids, SearchOptions(k=10, exclude_same_id=True))
    kept = search_rankings(engine, scorer, ids, SearchOptions(k=10))
    for query_id, ranking, whole, plain in zip(
        ids, actual.rankings, deep.rankings, kept.rankings, strict=True
    ):
        assert ranking == [pair for pair in whole if pair[0] != query_id][:10]
        assert len(ranking) == 10
        assert query_id in dict(whole) or name == "graph"
        assert plain == whole[:10]
