"""What a search says that it has cost: what its scorer saw, its steps, its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.graph_walk import GraphEngine
from hypencli.engine.guided import GuidedEngine
from hypencli.engine.parameters import GuidedOptions, WalkOptions
from hypencli.engine.scorers import Scorer
from hypencli.engine.workers import ALONE, Workers

CorpusOf = Callable[..., VectorCorpus]


PAUSE = 0.02


class Watched:
    """A scorer that remembers the vectors which each of its queries has scored.

    Args:
        scorer: What scores.
        pause: Seconds that every call takes longer.
        seen: The rows of each query; padding, of zeros alone, is not counted.
        scanned: Rows in another dtype than float32, of all queries at once.
        calls: One entry a call, of this scorer or of those selected from it.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        pause: float = 0.0,
        seen: Sequence[list[bytes]] | None = None,
        calls: list[int] | None = None,
        scanned: list[int] | None = None,
    ) -> None:
        self._scorer = scorer
        self._pause = pause
        self.seen = [[] for _ in range(scorer.n_queries)] if seen is None else seen
        self.calls = [] if calls is None else calls
        self.scanned: list[int] = [] if scanned is None else scanned

    @property
    def n_queries(self) -> int:
        return self._scorer.n_queries

    @property
    def dim(self) -> int:
        return self._scorer.dim

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        time.sleep(self._pause)
        self.calls.append(len(vectors))
        if vectors.dtype != torch.float32:
            self.scanned.append(int(vectors.any(dim=1).sum()))
            return self._scorer(vectors)
        rows = [row.tobytes() for row in vectors.numpy() if row.any()]
        for seen in self.seen:
            seen += rows
        return self._scorer(vectors)

    def select(self, queries: Sequence[int]) -> Watched:
        selected = [self.seen[query] for query in queries]
        some = self._scorer.select(queries)
        return Watched(some, pause=self._pause, seen=selected, calls=self.calls)

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> Watched | None:
        prepared = None if dtype == torch.int8 else self._scorer.prepared(dtype, threads=threads)
        if prepared is None:
            return None
        shared = {"seen": self.seen, "calls": self.calls, "scanned": self.scanned}
        return Watched(prepared, pause=self._pause, **shared)

    def gradients(self, vectors: torch.Tensor) -> torch.Tensor:
        return self._scorer.gradients(vectors)


@pytest.mark.parametrize("effort", [0.02, 0.4, 1])
def test_evaluations_are_what_the_scorer_saw(
    scoring_case: Any, corpus_of: CorpusOf, effort: float
) -> None:
    """And no document is scored twice for a query."""
    scorer = Watched(scoring_case.scorer(4))
    searched = scoring_case.open_engine(corpus_of(700), effort).search(scorer, k=25)
    counted = searched.evaluations if searched.scan is None else searched.scan.rescored
    assert counted.tolist() == [len(seen) for seen in scorer.seen]
    by_scorer = searched.scan is not None and "surrogate" not in searched.scan.dtypes
    assert sum(scorer.scanned) == (700 if by_scorer else 0)
    assert all(len(set(seen)) == len(seen) > 0 for seen in scorer.seen)
    assert (searched.iterations >= 1).all()


def test_an_index_asks_the_scorer_nothing(index_case: Any, corpus_of: CorpusOf) -> None:
    scored: list[int] = []
    searched = index_case.open_engine(corpus_of(300), 1).search(
        index_case.scorer(4), k=5, on_scored=scored.append
    )
    assert searched.evaluations.tolist() == [0, 0, 0, 0]
    assert searched.iterations.tolist() == [1, 1, 1, 1]
    assert sum(scored) == 4 * 300, "what an index spares is done as well"


def test_progress_adds_up_to_the_evaluations(scoring_case: Any, corpus_of: CorpusOf) -> None:
    scored: list[int] = []
    engine = scoring_case.open_engine(corpus_of(700), 0.3)
    searched = engine.search(scoring_case.scorer(4), k=25, on_scored=scored.append)
    assert sum(scored) == searched.evaluations.sum()


def test_rankings_hold_no_more_than_was_scored(scoring_case: Any, corpus_of: CorpusOf) -> None:
    searched = scoring_case.open_engine(corpus_of(700), 0.02).search(scoring_case.scorer(4), k=600)
    for ranking, evaluations in zip(searched.rankings, searched.evaluations, strict=True):
        assert len(ranking) == min(600, evaluations)


def test_the_parts_of_the_time_add_up(case: Any, corpus_of: CorpusOf) -> None:
    corpus, scorer = corpus_of(1100), case.scorer(3)
    engine = case.open_engine(corpus, 0.2)
    started = time.perf_counter()
    seconds = engine.search(scorer, k=50).seconds
    elapsed = time.perf_counter() - started
    parts = (seconds.selection, seconds.scoring, seconds.topk)
    assert all(part >= 0 for part in parts)
    assert seconds.scoring > 0
    assert 0 < sum(parts) <= elapsed


@pytest.mark.parametrize("threads", [1, 2])
def test_the_time_of_the_scorer_is_in_scoring(
    scoring_case: Any, corpus_of: CorpusOf, threads: int
) -> None:
    """With a scorer that takes nearly all of it, on one thread and on two."""
    scorer = Watched(scoring_case.scorer(4), pause=PAUSE)
    engine = scoring_case.open_engine(corpus_of(300), 0.2)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        started = time.perf_counter()
        searched = engine.search(scorer, k=20)
        elapsed = time.perf_counter() - started
    finally:
        torch.set_num_threads(before)
    seconds = searched.seconds
    assert seconds.scoring >= PAUSE * len(scorer.calls) / threads
    told = seconds.selection + seconds.scoring + seconds.topk
    # A busy machine may pause for a moment between what is measured.
    assert elapsed - max(elapsed / 2, 0.1) <= told <= elapsed


def test_exact_search_selects_nothing(corpus_of: CorpusOf, scorers: dict[str, Any]) -> None:
    scorer = scorers["q-net"](2, 13, torch.Generator().manual_seed(1))
    searched = ExactEngine(corpus_of(700)).search(scorer, k=5)
    assert searched.seconds.selection == 0
    assert searched.iterations.tolist() == [1, 1]


def test_a_budget_is_used_exactly(corpus_of: CorpusOf, scorers: dict[str, Any]) -> None:
    corpus = corpus_of(3000)
    scorer = scorers["q-net"](2, 13, torch.Generator().manual_seed(1))
    for budget in (1, 10, 100, 101, 333, 2999, 3000, 9999):
        searched = GuidedEngine(corpus, GuidedOptions(budget=budget)).search(scorer, k=100)
        assert searched.evaluations.tolist() == [min(budget, 3000)] * 2


def test_a_lower_gain_scores_more(corpus_of: CorpusOf, scorers: dict[str, Any]) -> None:
    corpus = corpus_of(1800)
    scorer = scorers["q-net"](5, 13, torch.Generator().manual_seed(1))
    options = [GuidedOptions(gain=gain, pool=1800) for gain in (1, 0.5, 0.2, 0.0, -1)]
    searched = [GuidedEngine(corpus, each).search(scorer, k=50) for each in options]
    means = [each.evaluations.mean() for each in searched]
    assert means == sorted(means)
    assert means[0] < means[2] < means[-1] == 1800


def test_a_walk_keeps_to_its_limits(corpus_of: CorpusOf, scorers: dict[str, Any]) -> None:
    """Each step after the first scores at most the neighbours of the documents that it expands."""
    corpus = corpus_of(900)
    graph = np.array([[(i + j) % 900 for j in range(1, 7)] for i in range(900)], dtype=np.int32)
    scorer = scorers["q-net"](5, 13, torch.Generator().manual_seed(1))
    for steps in (1, 2, 5):
        options = WalkOptions(entry_points=40, candidates=3, max_iterations=steps, early_stop=False)
        searched = GraphEngine(corpus, graph, options).search(scorer, k=10)
        assert searched.iterations.tolist() == [steps] * 5
        assert (searched.evaluations <= 40 + (steps - 1) * 3 * 6).all()
        fewer = WalkOptions(
            entry_points=40, candidates=3, max_iterations=steps, early_stop=False, neighbours=2
        )
        searched = GraphEngine(corpus, graph, fewer).search(scorer, k=10)
        assert (searched.evaluations <= 40 + (steps - 1) * 3 * 2).all()


def test_an_early_stop_spares_steps(corpus_of: CorpusOf, scorers: dict[str, Any]) -> None:
    corpus = corpus_of(900)
    graph = np.array([[(i + j) % 900 for j in range(1, 7)] for i in range(900)], dtype=np.int32)
    scorer = scorers["q-net"](5, 13, torch.Generator().manual_seed(1))
    costs = {}
    for stop in (True, False):
        options = WalkOptions(entry_points=40, candidates=3, max_iterations=50, early_stop=stop)
        costs[stop] = GraphEngine(corpus, graph, options).search(scorer, k=10)
    assert (costs[True].iterations < costs[False].iterations).all()
    assert (costs[True].evaluations < costs[False].evaluations).all()
