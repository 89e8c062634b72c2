"""Neighbour graphs: the exact builder against a plain one, and the approximate ones with recall.

    python benchmarks/graph.py                                     # what docs/benchmarks.md quotes
    python benchmarks/graph.py --quick                             # a minute, to see that it runs
    python benchmarks/graph.py --store STORE --embeddings NAME     # the vectors of an embedding set

The plain one is ``torch.cdist`` of 1,024 documents with all, and ``torch.topk``: both sides are
exact and find the same. Every measurement is a process of its own, both sides in turn; one JSON
line each, then medians and ratios. Vectors are clustered, where none are given: 1,000 centres and
noise, in the order of chance.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Sides, clock, folder_of, in_turn, measure, options_of, summary, tell

if TYPE_CHECKING:
    import numpy as np

CLUSTERS = 1000
BLOCK_ROWS = 1024
COMPILED_ON = 2000
"""Vectors of the small graph in which NN-descent is compiled, before it is measured."""


def prepare(options: argparse.Namespace, folder: Path) -> None:
    """Write what both sides read: the vectors in a store, and as one array."""
    import numpy as np

    from hypestore import EmbeddingSpec, Store

    if options.store is not None:
        embeddings = Store.open(options.store).embeddings(options.embeddings)
        vectors = np.concatenate([block for _, block in embeddings.blocks()])[: options.n]
    else:
        vectors = clustered(options.n, options.dim)
    np.save(folder / "vectors.npy", vectors.astype(np.float32))
    (folder / "k.json").write_text(json.dumps(options.k), encoding="utf-8")
    for name, count in (("all", len(vectors)), ("few", min(len(vectors), COMPILED_ON))):
        spec = EmbeddingSpec(
            id_prefix=name,
            inputs={"name": name},
            dim=vectors.shape[1],
            shard_rows=16384,
            keep_text=False,
        )
        store = Store.create(folder / name)
        with store.embedding_work(spec, name=name) as work:
            for shard, first in enumerate(range(0, count, 16384)):
                rows = vectors[first : min(count, first + 16384)].astype(np.float16)
                work.write_shard(shard, [f"d{first + i}" for i in range(len(rows))], rows, None)
            work.finish(count)


def clustered(n: int, dim: int) -> np.ndarray:
    import numpy as np

    generator = np.random.default_rng(0)
    centres = generator.normal(0, 1, (CLUSTERS, dim))
    created = centres[generator.integers(CLUSTERS, size=n)] + generator.normal(0, 1, (n, dim))
    return (created / np.linalg.norm(created, axis=1)[:, None]).astype(np.float16)


def k_of(folder: Path) -> int:
    return int(json.loads((folder / "k.json").read_text(encoding="utf-8")))


def build(folder: Path, builder: str, name: str = "all") -> float | None:
    """Make a graph as ``hype graph`` does, and forget it; returns its recall."""
    from hypencli.ops.graphs.build import build_graph
    from hypencli.ops.graphs.options import GraphOptions
    from hypestore import Store

    store = Store.open(folder / name)
    options = GraphOptions(k=k_of(folder), builder=builder)
    built = build_graph(store, store.get(name), options)
    if builder != "exact":
        store.remove(built.graph)
    return built.recall


def exact_hype(folder: Path) -> None:
    import shutil

    import hypencli.engine.neighbours.exact

    # What the command imports on its way, as the plain side has what it needs.
    import hypencli.engine.neighbours.libraries
    import hypencli.ops.graphs.build  # noqa: F401

    shutil.rmtree(folder / "all" / "graphs", ignore_errors=True)
    with clock():
        build(folder, "exact")


def exact_plain(folder: Path) -> None:
    import numpy as np
    import torch

    k = k_of(folder)
    with clock():
        vectors = torch.from_numpy(np.load(folder / "vectors.npy"))
        actual = torch.empty((len(vectors), k), dtype=torch.int32)
        for first in range(0, len(vectors), BLOCK_ROWS):
            rows = vectors[first : first + BLOCK_ROWS]
            distances = torch.cdist(rows, vectors)
            own = torch.arange(len(rows))
            distances[own, own + first] = torch.inf
            actual[first : first + len(rows)] = torch.topk(distances, k, largest=False).indices
        np.save(folder / "plain.npy", actual.numpy())


def approximate(builder: str) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        started = time.perf_counter()
        build(folder, builder, "few")
        compiled = time.perf_counter()
        recall = build(folder, builder)
        ended = time.perf_counter()
        tell(seconds=ended - compiled, few_seconds=compiled - started, recall=recall or 1.0)

    return run


SIDES: Sides = {
    "exact-hype": exact_hype,
    "exact-plain": exact_plain,
    "nn-descent": approximate("nn-descent"),
    "hnsw": approximate("hnsw"),
}


def shared(folder: Path) -> float:
    """Which share of the plain neighbours the exact graph has too (its vectors are float16)."""
    import numpy as np

    from hypencli.engine.neighbours.libraries import recall
    from hypestore import Store

    store = Store.open(folder / "all")
    (graph,) = store.artifacts("graph")
    return recall(store.graph(graph.id).neighbours, np.load(folder / "plain.npy"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, help="documents (50,000, or those of the set)")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--embeddings")
    options = options_of(parser, SIDES, repeat=3, quick={"n": 5_000})
    if options.store is None and options.n is None:
        options.n = 50_000
    with folder_of(options, partial(prepare, options)) as folder:
        actual = summary("exact", in_turn(__file__, "exact", folder, repeat=options.repeat))
        print(json.dumps({**actual, "neighbours_shared": shared(folder)}), flush=True)
        for builder in ("hnsw", "nn-descent"):
            print(json.dumps({"job": builder, **measure(__file__, builder, folder)}), flush=True)


if __name__ == "__main__":
    main()
