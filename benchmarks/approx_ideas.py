"""What each idea of guided search is worth alone: how much it finds with a budget of evaluations.

    python benchmarks/approx_ideas.py --store S --embeddings E --model M [M …] --queries FILE
    python benchmarks/approx_ideas.py --store S --embeddings E --random-nets 6

A simulation: every document is scored once for every query, and an idea says which documents it
would have scored. One JSON line for an idea and a depth: the share of the best ``k`` among them,
for budgets that are multiples of ``k``, or for as many as it chooses itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from approx_study import Study, linearity, make_study, q_nets_of, random_nets
from measuring import say_machine

from hypencli.engine.graph_walk import Neighbours
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.surrogate import fit
from hypencli.ops.graphs.find import find_graph
from hypestore import Store

DEPTHS = (100, 1000)
TIMES = (1.0, 1.1, 1.3, 1.6, 2.0, 3.0, 5.0)
NEAR, PRIOR, EXPANDED = 30, 2.0, 16
GUIDE = GuidedOptions()
"""Shares and sizes are those of the engine."""

FREE = 0.003
"""The ridge of a fit that is held to nothing: of 0.3, 0.03, 0.003 and 0, that which finds most."""

Floats: TypeAlias = npt.NDArray[np.float32]
Places: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Query:
    """One query, with what an idea may look at: the scores only of what it has chosen.

    Attributes:
        vectors: Of all documents, ``[n, d]``.
        scores: Of all documents, ``[n]``.
        slope: Of the q-net at the mean of the corpus, ``[d]``.
    """

    vectors: Floats
    scores: Floats
    slope: Floats
    neighbours: Neighbours | None
    k: int

    @cached_property
    def by_slope(self) -> Floats:
        """All documents by the linear function that the slope is."""
        return self.vectors @ self.slope

    def fitted(self, before: Floats, selected: Places, ridge: float = GUIDE.ridge) -> Floats:
        """Weights ``[d]`` fitted to the scores of some documents, and held to those before."""
        parts = (before, self.vectors[selected], self.scores[selected])
        return fit(*map(torch.from_numpy, parts), ridge).numpy()

    def spread(self, seen: Places) -> Places:
        """Those that a fit is made to: half of them the best, the others evenly from all."""
        order = seen[np.argsort(-self.scores[seen])]
        if len(order) <= GUIDE.fitted:
            return order
        half = GUIDE.fitted // 2
        evenly = np.linspace(half, len(order) - 1, GUIDE.fitted - half).astype(int)
        return np.concatenate([order[:half], order[evenly]])

    def recall(self, seen: Places) -> float:
        """The share of the best ``k`` that is among those seen."""
        return float(np.isin(best(self.scores, self.k), seen).mean())


Idea: TypeAlias = Callable[[Query, int | None], Places]
"""The documents that are scored for a query: so many, or, for None, as many as it takes."""


def best(values: Floats, m: int, seen: Places | None = None) -> Places:
    """Places of the ``m`` largest values, those seen left out."""
    if seen is not None:
        values = values.copy()
        values[seen] = -np.inf
    return np.argpartition(-values, min(m, len(values)) - 1)[:m]


def at_random(query: Query, m: int) -> Places:
    return np.random.default_rng(0).choice(len(query.scores), m, replace=False)


def slope_alone(query: Query, budget: int | None) -> Places:
    """The documents that the slope ranks first."""
    return best(query.by_slope, budget)


def random_fit(query: Query, budget: int | None) -> Places:
    """A third at random; the rest as a function ranks them that is fitted to those alone."""
    seen = at_random(query, budget // 3)
    weights = query.fitted(np.zeros_like(query.slope), seen, FREE)
    return np.concatenate([seen, best(query.vectors @ weights, budget - len(seen), seen)])


def guided(query: Query, budget: int | None) -> Places:
    """The slope, then fits to all that was scored, in batches: to a budget, or while they gain."""
    return in_batches(query, budget, lambda seen, weights: query.vectors @ weights)


def smoothed(query: Query, budget: int | None) -> Places:
    """The same, and what a fit has missed counts for the neighbours of where it has."""

    def expected(seen: Places, weights: Floats) -> Floats:
        actual = query.vectors @ weights
        missed = query.scores[seen] - actual[seen]
        missed -= missed.mean()
        near = query.neighbours[seen, :NEAR]
        shape = {"minlength": len(actual)}
        total = np.bincount(near.ravel(), weights=np.repeat(missed, near.shape[1]), **shape)
        return actual + (total / (np.bincount(near.ravel(), **shape) + PRIOR)).astype(np.float32)

    return in_batches(query, budget, expected)


def in_batches(
    query: Query, budget: int | None, expected: Callable[[Places, Floats], Floats]
) -> Places:
    k = query.k
    weights, seen = query.slope, best(query.by_slope, round(GUIDE.first * (budget or k)))
    while budget is None or len(seen) < budget:
        weights = query.fitted(weights, query.spread(seen))
        size = k - len(seen) if len(seen) < k else max(1, round(GUIDE.batch * k))
        size = size if budget is None else min(size, budget - len(seen))
        new = best(expected(seen, weights), size, seen)
        before, seen = len(seen), np.concatenate([seen, new])
        last = query.scores[seen][best(query.scores[seen], k)].min()
        if budget is None and before >= k and (query.scores[new] >= last).mean() <= GUIDE.gain:
            break
    return seen


def best_first(query: Query, budget: int | None) -> Places:
    """From the same seeds over the graph: always the neighbours of the best not yet expanded."""
    seen = best(query.by_slope, round(GUIDE.first * budget))
    listed, expanded = (np.zeros(len(query.scores), dtype=bool) for _ in range(2))
    listed[seen] = True
    while len(seen) < budget and len(waiting := seen[~expanded[seen]]):
        selected = waiting[best(query.scores[waiting], EXPANDED)]
        expanded[selected] = True
        near = np.unique(query.neighbours[selected, :NEAR])
        new = near[~listed[near]][: budget - len(seen)]
        listed[new] = True
        seen = np.concatenate([seen, new])
    return seen


IDEAS: Mapping[str, Idea] = {
    "slope alone": slope_alone,
    "fit to random documents": random_fit,
    "slope and fits": guided,
}
ON_A_GRAPH: Mapping[str, Idea] = {
    "slope and fits, residuals smoothed": smoothed,
    "slope, then best first over the graph": best_first,
}


def measure(study: Study) -> None:
    """A line for every idea and depth."""
    blocks = [vectors for _, vectors in study.corpus.blocks()]
    vectors = np.concatenate(blocks).astype(np.float32)
    centre = torch.from_numpy(vectors.mean(axis=0, keepdims=True))
    gradients = study.scorer.gradients(centre)[:, 0].numpy()
    fits = linearity(study)
    about = {
        "model": study.model,
        "n": len(vectors),
        "n_queries": len(gradients),
        "r2_linear": None if fits is None else round(float(np.mean(fits)), 4),
    }
    ideas = IDEAS if study.neighbours is None else {**IDEAS, **ON_A_GRAPH}
    for k in DEPTHS:
        queries = [
            Query(vectors, scores, slope, study.neighbours, k)
            for scores, slope in zip(study.scores, gradients, strict=True)
        ]
        for name, idea in ideas.items():
            recalls = {times: recall(queries, idea, round(times * k)) for times in TIMES}
            say(**about, k=k, idea=name, recall_by_budget=recalls)
        seen = [guided(query, None) for query in queries]
        evaluations = round(float(np.mean([len(one) for one in seen])))
        actual = float(np.mean([q.recall(one) for q, one in zip(queries, seen, strict=True)]))
        fixed = recall(queries, guided, evaluations)
        stopped = {"evaluations": evaluations, "recall": round(actual, 4), "fixed_budget": fixed}
        say(**about, k=k, idea="slope and fits, until a batch gains little", **stopped)


def recall(queries: list[Query], idea: Idea, budget: int) -> float:
    """The mean over the queries."""
    return round(float(np.mean([query.recall(idea(query, budget)) for query in queries])), 4)


def say(**values: object) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--embeddings", required=True)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--model", nargs="+", default=[])
    parser.add_argument("--random-nets", type=int, nargs="+", default=[], metavar="LAYERS")
    parser.add_argument("--n-queries", type=int, default=24)
    options = parser.parse_args()
    say_machine()
    store = Store.open(options.store)
    corpus = store.embeddings(options.embeddings)
    graph = None
    if store.find("graph", {"embeddings": corpus.manifest.id}):
        graph = store.graph(find_graph(store, corpus.manifest.id, k=NEAR).id).neighbours
    name = corpus.manifest.id
    for model in options.model:
        q_nets = q_nets_of(store, model, options.queries, options.n_queries)
        measure(make_study(name, model, corpus, q_nets, graph))
    for layers in options.random_nets:
        q_nets = random_nets(corpus.dim, options.n_queries, layers)
        measure(make_study(name, f"random nets of {layers} layers", corpus, q_nets, graph))


if __name__ == "__main__":
    main()
