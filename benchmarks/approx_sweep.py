"""The settings of approximate engines that are tried, and the best of those that find enough.

A walk over the graph is the same whether its scores are computed or looked up, so that the grid is
walked over the table of all scores: recall and evaluations are those of a real search, and the time
of one is what the walk took and what its evaluations would have. The chosen settings are searched
and timed for real afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from approx_study import Study, places

from hypencli.engine.graph_walk import GraphEngine
from hypencli.engine.guided import GuidedEngine
from hypencli.engine.parameters import GuidedOptions, WalkOptions
from hypencli.engine.registry.graph import GRAPH
from hypencli.engine.results import Engine, SearchResult
from hypencli.engine.scorers import Scorer

Setting: TypeAlias = WalkOptions | GuidedOptions

ENTRY_POINTS = (30, 100, 300, 1_000, 3_000, 10_000)
CANDIDATES = (4, 8, 16, 32, 64, 128, 328)
NEIGHBOURS = (10, 20, 50, 100)
MAX_ITERATIONS = (4, 8, 16, 64)

GAINS = (0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.0)
BUDGETS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 5.0, 10.0)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Evaluations, as multiples of ``k``, then as shares of the corpus."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One setting: what it finds, and what it costs a query.

    Attributes:
        recall: At the depth of the search.
        evaluations: Scores of q-nets, the mean over the queries.
        ms: Milliseconds; of a walk, expected ones.
    """

    setting: Setting
    recall: float
    evaluations: float
    ms: float


def walks(width: int, *, small: bool = False) -> list[WalkOptions]:
    """The grid of a graph of so many neighbours a document, and the settings of the paper."""
    grid = (ENTRY_POINTS, CANDIDATES, sorted({min(m, width) for m in NEIGHBOURS}), MAX_ITERATIONS)
    if small:
        grid = tuple(values[1::2] or values for values in grid)
    return [
        WalkOptions(
            entry_points=entry_points,
            candidates=candidates,
            neighbours=neighbours,
            max_iterations=max_iterations,
        )
        for entry_points, candidates, neighbours, max_iterations in product(*grid)
    ] + [WalkOptions(**preset) for preset in GRAPH.presets.values()]


def sweep_graph(study: Study, k: int, settings: Iterable[WalkOptions]) -> Iterator[Measured]:
    """Walk with every setting over the table."""
    corpus, scorer = places(study)
    for setting in settings:
        engine = GraphEngine(corpus, study.neighbours, setting)
        actual, ms = timed(engine, scorer, k)
        evaluations = float(actual.evaluations.mean())
        scoring = evaluations * study.seconds_per_score * 1e3
        yield Measured(setting, study.recall(actual.rankings, k), evaluations, ms + scoring)


def sweep_guided(study: Study, k: int, target: float) -> Iterator[Measured]:
    """Search with every setting from cheap to dear, until one has the recall."""
    n = study.corpus.n
    budgets = {round(times * k) for times in BUDGETS} | {round(share * n) for share in SHARES}
    for settings in (
        (GuidedOptions(gain=gain) for gain in GAINS),
        (fixed(budget, k) for budget in sorted(budgets) if k <= budget <= n),
    ):
        for setting in settings:
            actual, ms = timed(GuidedEngine(study.corpus, setting), study.scorer, k)
            recall = study.recall(actual.rankings, k)
            yield Measured(setting, recall, float(actual.evaluations.mean()), ms)
            if recall >= target:
                break


def fixed(budget: int, k: int) -> GuidedOptions:
    """A budget, spent in 16 batches at most: more fits of many documents take long."""
    return GuidedOptions(budget=budget, batch=max(GuidedOptions().batch, budget / k / 16))


def timed(engine: Engine, scorer: Scorer, k: int) -> tuple[SearchResult, float]:
    """What an engine finds for all queries at once, and milliseconds a query."""
    started = time.perf_counter()
    searched = engine.search(scorer, k=k)
    return searched, (time.perf_counter() - started) * 1e3 / scorer.n_queries


def choose(measured: Iterable[Measured], target: float) -> dict[Setting, tuple[str, ...]]:
    """Settings that find enough, and what each takes least of: evaluations, time, or both."""
    enough = [one for one in measured if one.recall >= target]
    if not enough:
        return {}
    fewest = min(enough, key=lambda one: one.evaluations).setting
    fastest = min(enough, key=lambda one: one.ms).setting
    if fewest == fastest:
        return {fewest: ("evaluations", "time")}
    return {fewest: ("evaluations",), fastest: ("time",)}
