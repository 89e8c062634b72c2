"""Searches that are timed in turn: exact, an engine at a chosen setting, the plain one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
import published
from approx_study import DEEPEST, Study
from approx_sweep import Setting
from measuring import Stopwatch
from plain_graph_search import PlainGraphSearch

from hypencli.engine.exact import ExactEngine
from hypencli.engine.graph_walk import GraphEngine
from hypencli.engine.guided import GuidedEngine
from hypencli.engine.parameters import WalkOptions
from hypencli.engine.results import Engine
from hypencli.records import Ranking


@dataclass
class Contender:
    """One way to search.

    Attributes:
        search: Gives the ranking and the evaluations of each query.
        n_queries: How many queries it searches.
        least: What its setting takes least of: evaluations, time, or both.
        rankings: What the last run has found.
        seconds: Of each run.
        cpu_seconds: Processor time of each run, of all threads.
    """

    engine: str
    k: int
    search: Callable[[], tuple[list[Ranking], list[int]]]
    n_queries: int
    least: tuple[str, ...] = ()
    setting: dict[str, object] = field(default_factory=dict)
    rankings: list[Ranking] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Search all its queries once."""
        stopwatch = Stopwatch()
        self.rankings, self.counts = self.search()
        taken = stopwatch.figures()
        self.seconds.append(taken["seconds"])
        self.cpu_seconds.append(taken["cpu_seconds"])

    @property
    def evaluations(self) -> float:
        """The mean over the queries."""
        return statistics.mean(self.counts)

    @property
    def ms(self) -> float:
        """Of a query: the median over the runs."""
        return statistics.median(self.seconds) * 1e3 / self.n_queries

    @property
    def cpu_ms(self) -> float:
        """Processor time of a query: the median over the runs."""
        return statistics.median(self.cpu_seconds) * 1e3 / self.n_queries

    def figures(self, study: Study) -> dict[str, object]:
        """What it found and took."""
        extremes = min(self.seconds), max(self.seconds)
        recalls = study.recalls(self.rankings, self.k)
        return {
            "engine": self.engine,
            "k": self.k,
            "least": list(self.least),
            "setting": self.setting,
            "recall": round(statistics.mean(recalls), 4),
            "recall_least": round(min(recalls), 4),
            "evaluations": round(self.evaluations, 1),
            "share": round(self.evaluations / study.corpus.n, 5),
            "ms": round(self.ms, 3),
            "cpu_ms": round(self.cpu_ms, 3),
            "ms_spread": [round(one * 1e3 / self.n_queries, 3) for one in extremes],
        }


def exact(study: Study, *, one_by_one: bool) -> Contender:
    """Exact search for the most documents: fewer cost it hardly less."""
    search = searched_by(ExactEngine(study.corpus), study, DEEPEST, one_by_one=one_by_one)
    return Contender("exact", DEEPEST, search, len(study.q_nets))


def approximate(
    study: Study, setting: Setting, k: int, least: tuple[str, ...], *, one_by_one: bool
) -> Contender:
    """An engine at a setting, after a first search: what it reads once is not a query's."""
    engine: Engine
    if isinstance(setting, WalkOptions):
        name, engine = "graph", GraphEngine(study.corpus, study.neighbours, setting)
    else:
        name, engine = "guided", GuidedEngine(study.corpus, setting)
    engine.search(study.scorer.select([0]), k=k)
    search = searched_by(engine, study, k, one_by_one=one_by_one)
    return Contender(name, k, search, len(study.q_nets), least, asdict(setting))


def searched_by(
    engine: Engine, study: Study, k: int, *, one_by_one: bool
) -> Callable[[], tuple[list[Ranking], list[int]]]:
    """All queries of a study at once, or one after the other."""
    queries = range(len(study.q_nets))
    scorers = [study.scorer.select([q]) for q in queries] if one_by_one else [study.scorer]

    def search() -> tuple[list[Ranking], list[int]]:
        searched = [engine.search(scorer, k=k) for scorer in scorers]
        return (
            [ranking for one in searched for ranking in one.rankings],
            [count for one in searched for count in one.evaluations.tolist()],
        )

    return search


def published_walk(study: Study, walk: WalkOptions, k: int) -> Contender:
    """The published graph search at a setting of the walk, always a query at a time.

    The published code itself where a checkout is at hand, else a plain loop in its way. Both begin
    at the entry points of the engine: for one seed they are those that the published code draws.
    """
    everything = np.arange(study.corpus.n)
    of_corpus = (
        study.corpus.ids(everything),
        study.corpus.vectors(everything),
        study.neighbours[:, : walk.neighbours],
    )
    real = published.side() == "published"
    search_one = (_of_checkout if real else _plain)(study, walk, k, *of_corpus)
    nets = [published.q_net(net) for net in study.q_nets] if real else study.q_nets

    def search() -> tuple[list[Ranking], list[int]]:
        searched = [search_one(net) for net in nets]
        return [ranking for ranking, _ in searched], [count for _, count in searched]

    return Contender(published.side(), k, search, len(study.q_nets), ("time",), asdict(walk))


SearchOne: TypeAlias = Callable[[Any], tuple[Ranking, int]]


def _of_checkout(
    study: Study, walk: WalkOptions, k: int, ids: Sequence[str], vectors: Any, neighbours: Any
) -> SearchOne:
    searcher = published.graph_search(
        ids,
        vectors,
        neighbours,
        entry_points=walk.entry_points,
        candidates=walk.candidates,
        max_iterations=walk.max_iterations,
        early_stop=walk.early_stop,
    )
    return lambda net: (searcher.search(net, k), searcher.evaluations)


def _plain(
    study: Study, walk: WalkOptions, k: int, ids: Sequence[str], vectors: Any, neighbours: Any
) -> SearchOne:
    entry_points = GraphEngine(study.corpus, study.neighbours, walk).entry_points.tolist()
    searcher = PlainGraphSearch(ids, vectors, neighbours)

    def search_one(net: Any) -> tuple[Ranking, int]:
        one = searcher.search(
            net,
            entry_points,
            k=k,
            candidates=walk.candidates,
            max_iterations=walk.max_iterations,
            early_stop=walk.early_stop,
        )
        return one.ranking, one.evaluations

    return search_one
