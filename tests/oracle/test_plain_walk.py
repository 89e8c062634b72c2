"""Graph search against a walk over plain lists and sets, on any graph."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.graph_walk import GraphEngine
from hypencli.engine.parameters import WalkOptions
from hypencli.engine.scorers import InnerProductScorer


def plain_walk(
    scores: list[float], graph: list[list[int]], entry: list[int], options: WalkOptions, k: int
) -> tuple[list[int], int, int]:
    """The best k documents, how many were scored, and the steps, as published."""
    best: list[int] = []
    listed, candidates, scored, steps = set(entry), entry, 0, 0
    while candidates and steps < options.max_iterations:
        last = scores[best[-1]] if len(best) == k else -np.inf
        scored, steps = scored + len(candidates), steps + 1
        ordered = sorted(candidates, key=lambda place: -scores[place])
        best = sorted([*best, *ordered], key=lambda place: -scores[place])[:k]
        if options.early_stop and scores[ordered[0]] <= last:
            break
        actual = {near for place in ordered[: options.candidates] for near in graph[place]}
        candidates = sorted(actual - listed)
        listed |= actual
    return best, scored, steps


@settings(max_examples=200)
@given(
    data=st.data(),
    n=st.integers(1, 40),
    width=st.integers(1, 4),
    k=st.integers(1, 8) | st.just(45),
    candidates=st.integers(1, 6),
    max_iterations=st.integers(1, 12),
    early_stop=st.booleans(),
)
def test_equals_a_plain_walk(
    data: st.DataObject,
    n: int,
    width: int,
    k: int,
    candidates: int,
    max_iterations: int,
    early_stop: bool,
) -> None:
    """With rows that are not full, with self edges, with parts that cannot be reached."""
    places = st.integers(0, n - 1)
    graph = data.draw(st.lists(st.lists(places, max_size=width), min_size=n, max_size=n))
    entry = data.draw(st.lists(places, min_size=1, unique=True))
    scores = data.draw(st.permutations([float(i) for i in range(n)]))
    rows = np.full((n, width), -1, dtype=np.int32)
    for place, near in enumerate(graph):
        rows[place, : len(near)] = near
    options = WalkOptions(
        candidates=candidates, max_iterations=max_iterations, early_stop=early_stop
    )
    corpus = VectorCorpus(np.array(scores, dtype=np.float32)[:, None])
    engine = GraphEngine(corpus, rows, options, entry_points=entry)
    searched = engine.search(InnerProductScorer(torch.ones(1, 1)), k=k)
    best, scored, steps = plain_walk(scores, graph, entry, options, k)
    assert searched.rankings == [[(str(place), scores[place]) for place in best]]
    assert (searched.evaluations.tolist(), searched.iterations.tolist()) == ([scored], [steps])
