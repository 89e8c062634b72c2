"""What approximate q-net search costs: evaluations and time for a recall of 0.95.

    python benchmarks/approx.py study                    # makes the study in ./approx-study
    python benchmarks/approx.py study --quick            # minutes, to see that it runs
    python benchmarks/approx.py measure --store S --embeddings E --model M --queries FILE
    python benchmarks/approx.py measure … --documents 150000 500000 --scaled FOLDER
    python benchmarks/approx.py simulated --published FOLDER    # three minutes, no store

For the best 100 and the best 1,000 documents, `graph` and `guided` are searched at a grid of
settings; of those with a mean recall of 0.95 against exact search, the one with the fewest
evaluations and the one with the least time are timed, in turn with exact search and with the
published graph search at the settings of `graph` that take the least time: the published code
itself with `--published` (a checkout), else `plain_graph_search.py`. One JSON line for every
setting tried, then one for every setting chosen: medians over the runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import published
import torch
from approx_collection import Sizes, prepare
from approx_scaled import enlarged
from approx_study import DEEPEST, Study, linearity, make_study, q_nets_of, random_nets
from approx_sweep import Measured, choose, sweep_graph, sweep_guided, walks
from approx_timing import Contender, approximate, exact, published_walk
from measuring import check, say_machine
from simulated_nets import published_six, simulated_corpus

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.graph_walk import Neighbours
from hypencli.engine.neighbours.exact import nearest_of
from hypencli.engine.neighbours.similarity import Similarity
from hypencli.ops.graphs.build import build_graph
from hypencli.ops.graphs.find import find_graph
from hypencli.ops.graphs.options import GraphOptions
from hypestore import EmbeddingSet, Store

DEPTHS = (100, DEEPEST)
GRAPH_WIDTH = 100
SAME = 0.02
"""How far two runs of one walk may lie apart: scores that differ in the last bit lead elsewhere."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    study = verbs.add_parser("study", help="make the study and measure all of it")
    created = verbs.add_parser("prepare", help="only make it")
    measured = verbs.add_parser("measure", help="measure a store that there is")
    for verb in (study, created):
        verb.add_argument("folder", type=Path, nargs="?", default=Path("approx-study"))
        verb.add_argument("--quick", action="store_true", help="300 documents, a few steps")
    measured.add_argument("--store", type=Path, required=True)
    measured.add_argument("--embeddings", required=True)
    measured.add_argument("--queries", type=Path)
    simulated = verbs.add_parser("simulated", help="measure a simulated corpus, with trained nets")
    simulated.add_argument("--size", type=int, default=20_000, help="documents")
    simulated.add_argument("--dim", type=int, default=384)
    squared = "how much a squared part of the scores varies, as a share of the linear one"
    simulated.add_argument("--squared", type=float, default=0.15, help=squared)
    which = measured.add_mutually_exclusive_group(required=True)
    which.add_argument("--model")
    which.add_argument("--random-nets", type=int, metavar="LAYERS", help="untrained, of noise")
    for verb in (study, measured, simulated):
        add_measuring(verb)
    options = parser.parse_args()
    if options.verb != "prepare":
        published.set_folder(options.published)
        say_machine()
    if options.verb == "simulated":
        measure_study(simulated_study(options), options)
        return
    if options.verb == "measure":
        measure(options)
        return
    files = prepare(options.folder, Sizes.quick() if options.quick else Sizes())
    if options.verb == "study":
        options.store, options.embeddings, options.queries = files.store, "documents", files.queries
        for options.model in files.models:
            measure(options)


def add_measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n-queries", type=int, default=24)
    parser.add_argument("--target", type=float, default=0.95, help="the recall to reach")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one-by-one", action="store_true", help="a query at a time")
    parser.add_argument("--small-grid", action="store_true", help="fewer settings of graph")
    parser.add_argument("--documents", type=int, nargs="+", help="sizes of near-copied corpora")
    parser.add_argument("--scaled", type=Path, help="folder of those")
    parser.add_argument("--published", type=Path, help="a checkout of the published code")
    parser.add_argument("--with-graph", action="store_true", help="build graphs that are missing")


def simulated_study(options: argparse.Namespace) -> Study:
    """A simulated corpus with its exact graph, and trained six-layer q-nets."""
    vectors = simulated_corpus(options.size, options.dim, seed=0)
    corpus = VectorCorpus(vectors.astype(np.float16), [f"d{i}" for i in range(options.size)])
    q_nets = published_six(vectors, options.n_queries, 0, (0.0, 2 * options.squared))
    everything = np.arange(options.size)
    near = nearest_of(everything, corpus, Similarity("l2", torch.device("cpu")), k=GRAPH_WIDTH)
    return make_study("simulated", "six-layer", corpus, q_nets, near.astype(np.int32))


def measure(options: argparse.Namespace) -> None:
    """All corpora of one model, from small to large."""
    store = Store.open(options.store)
    base = store.embeddings(options.embeddings)
    if options.model is None:
        model = f"random nets of {options.random_nets} layers"
        q_nets = random_nets(base.dim, options.n_queries, options.random_nets)
    else:
        model = options.model
        q_nets = q_nets_of(store, model, options.queries, options.n_queries)
    for home, corpus in corpora(store, base, options):
        graph = neighbours_of(home, corpus, build=options.with_graph)
        measure_study(make_study(corpus.manifest.id, model, corpus, q_nets, graph), options)


def corpora(
    store: Store, base: EmbeddingSet, options: argparse.Namespace
) -> Iterator[tuple[Store, EmbeddingSet]]:
    """The corpora that are asked for, each with its store."""
    for n in options.documents or [base.n]:
        if n == base.n:
            yield store, base
        elif options.scaled is None:
            raise SystemExit("Where are the larger corpora to be? --scaled FOLDER")
        else:
            yield enlarged(base, options.scaled, n)


def neighbours_of(store: Store, corpus: EmbeddingSet, *, build: bool) -> Neighbours | None:
    """The graph of a corpus, if there is one or one is to be built."""
    if store.find("graph", {"embeddings": corpus.manifest.id}):
        graph = find_graph(store, corpus.manifest.id, k=1).id
    elif build:
        graph = build_graph(store, corpus.manifest, GraphOptions()).graph
    else:
        return None
    return store.graph(graph).neighbours


def measure_study(study: Study, options: argparse.Namespace) -> None:
    """Try the settings, then time the best."""
    fits = linearity(study)
    about = {
        "corpus": study.name,
        "n": study.corpus.n,
        "model": study.model,
        "r2_linear": None if fits is None else round(statistics.mean(fits), 4),
        "r2_linear_least": None if fits is None else round(min(fits), 4),
        "n_queries": len(study.q_nets),
        "queries_at_once": 1 if options.one_by_one else len(study.q_nets),
        "threads": torch.get_num_threads(),
        "runs": options.repeat,
    }
    contenders = [exact(study, one_by_one=options.one_by_one)]
    for k in DEPTHS:
        contenders += contenders_of(study, k, options, about)
    for _ in range(options.repeat):
        for one in contenders:
            one.run()
    for k in DEPTHS:
        report(study, k, contenders, about)


def contenders_of(
    study: Study, k: int, options: argparse.Namespace, about: dict[str, object]
) -> list[Contender]:
    """The best settings of each engine, and the plain search at that of the fastest walk."""
    actual: list[Contender] = []
    for engine, swept in sweeps(study, k, options).items():
        measured = []
        for one in swept:
            measured.append(one)
            say(part="tried", **about, engine=engine, k=k, **as_line(one))
        best = choose(measured, options.target)
        if not best:
            most = max(measured, key=lambda one: one.recall)
            say(part="missed", **about, engine=engine, k=k, **as_line(most))
        for setting, least in best.items():
            one_by_one = options.one_by_one
            actual.append(approximate(study, setting, k, least, one_by_one=one_by_one))
            if engine == "graph" and "time" in least:
                actual.append(published_walk(study, setting, k))
    return actual


def sweeps(study: Study, k: int, options: argparse.Namespace) -> dict[str, Iterator[Measured]]:
    actual = {"guided": sweep_guided(study, k, options.target)}
    if study.neighbours is not None:
        settings = walks(study.neighbours.shape[1], small=options.small_grid)
        actual["graph"] = sweep_graph(study, k, settings)
    return actual


def report(study: Study, k: int, contenders: Sequence[Contender], about: dict[str, object]) -> None:
    """A line for every contender of a depth, against exact search and the best of the others."""
    whole, *others = contenders
    check(study.recall(whole.rankings, DEEPEST) >= 1 - SAME)
    others = [one for one in others if one.k == k]
    say(part="chosen", **about, **{**whole.figures(study), "k": k})
    walks_of = [one for one in others if one.engine == "graph"]
    loops = [one for one in others if one.engine == published.side()]
    for loop in loops:
        check_same(study, loop, next(one for one in walks_of if one.setting == loop.setting))
    for one in others:
        ratios = {"faster_than_exact": whole.ms / one.ms}
        if walks_of:
            fewest = min(each.evaluations for each in walks_of)
            ratios["fewer_than_graph"] = fewest / one.evaluations
            ratios["faster_than_graph"] = min(each.ms for each in walks_of) / one.ms
            loop = f"faster_than_{published.side()}"
            ratios[loop] = min(each.ms for each in loops) / one.ms
            ratios[f"{loop}_in_processor_time"] = min(each.cpu_ms for each in loops) / one.cpu_ms
        rounded = {key: round(value, 2) for key, value in ratios.items()}
        say(part="chosen", **about, **one.figures(study), **rounded)


def check_same(study: Study, loop: Contender, walk: Contender) -> None:
    """Of the plain search and the engine: did both walk the same way?"""
    recalls = [study.recall(one.rankings, loop.k) for one in (loop, walk)]
    check(abs(recalls[0] - recalls[1]) <= SAME)
    check(abs(loop.evaluations - walk.evaluations) <= SAME * walk.evaluations)


def as_line(one: Measured) -> dict[str, object]:
    return {
        "setting": asdict(one.setting),
        "recall": round(one.recall, 4),
        "evaluations": round(one.evaluations, 1),
        "ms": round(one.ms, 3),
    }


def say(**values: object) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
