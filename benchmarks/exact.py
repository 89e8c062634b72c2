"""Exact search with six-layer q-nets: documents a second against the published way.

    python benchmarks/exact.py                   # what docs/benchmarks.md quotes; half an hour
    python benchmarks/exact.py --quick           # a minute, to see that it runs
    python benchmarks/exact.py --documents 20000 --dim 768 --queries 1 --repeat 5
    python benchmarks/exact.py --published FOLDER    # against a checkout of the published code
    python benchmarks/exact.py --documents 20000 --dim 384 --dtypes float32    # fewer sides
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/exact.py …    # emulated

Every measurement is a process of its own, all sides in turn: the published way (one query at a
time, 100,000 documents a batch, the q-net on a whole batch; the published code itself with
`--published`, else `plain.py`) in float32 and in bfloat16, hype's scan in float32, and its scans in
bfloat16 and in int8 that float32 certifies, and its choice for this machine (`auto`); and the rate
of plain matrix products of these dtypes, a product a thread, which no side can pass. Vectors are
random, around some hundred centres, in float16, q-nets random with the published initialisation's
scale. One JSON line a measurement, then medians, spreads and ratios; whether the best 1,000 are
those of the published way in float32, ids and order, is compared over all queries. Where places
differ, it says how far apart the scores are of the two documents there, by the published way, and
how far apart both sides' scores of one document are, in units of float32's rounding: its epsilon
(1.2e-7) times the largest score.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import published
from measuring import Figures, Stopwatch, check, measure, say_machine, tell

K = 1000
LAYERS = 6
EPSILON = 2.0**-23
CENTRES = 100
CEILING_ROWS, CEILING_SECONDS = 2048, 1.0
DTYPES = ("float32", "bfloat16", "int8")

Ranking: TypeAlias = list[tuple[str, float]]
Rankings: TypeAlias = list[Ranking]


@dataclass(frozen=True)
class Case:
    """One corpus and so many queries."""

    documents: int
    dim: int
    queries: int

    @property
    def gflop(self) -> float:
        """Of all scores."""
        per_document = 2 * LAYERS * self.dim**2 + 2 * self.dim
        return self.documents * self.queries * per_document / 1e9


FULL = [
    *(Case(n, dim, 1) for dim in (768, 384) for n in (20_000, 50_000, 200_000)),
    *(Case(20_000, dim, 64) for dim in (768, 384)),
]
QUICK = [Case(4_000, 128, 2)]


def prepare(folder: Path, case: Case) -> None:
    """Write a store of vectors, and the case."""
    import numpy as np

    from hypestore import EmbeddingSpec, Store

    generator = np.random.default_rng(0)
    centres = generator.normal(size=(CENTRES, case.dim)).astype(np.float32)
    store = Store.create(folder / "store")
    spec = EmbeddingSpec(
        id_prefix="vectors", inputs={}, dim=case.dim, shard_rows=16_384, keep_text=False
    )
    with store.embedding_work(spec, name="vectors") as work:
        for shard, start in enumerate(range(0, case.documents, 16_384)):
            count = min(16_384, case.documents - start)
            created = centres[generator.integers(CENTRES, size=count)]
            created += 0.8 * generator.normal(size=created.shape).astype(np.float32)
            created /= np.linalg.norm(created, axis=1, keepdims=True)
            ids = [f"d{start + i}" for i in range(count)]
            work.write_shard(shard, ids, created.astype(np.float16), None)
        work.finish(case.documents, stats={}, provenance={})
    (folder / "case.json").write_text(json.dumps(vars(case)), encoding="utf-8")


def q_nets(case: Case) -> Sequence[object]:
    """Random q-nets, one a query."""
    import torch

    from hypencli.models.qnets.batch import QNetBatch
    from hypencli.models.qnets.registry import RepeatedDenseBlockConverter

    converter = RepeatedDenseBlockConverter([case.dim] * (LAYERS + 1) + [1])

    def one(seed: int) -> QNetBatch:
        drawn = torch.Generator().manual_seed(seed)
        matrices = [
            # As a hypernetwork writes them: ``[q, out, in]`` in memory.
            (torch.randn(1, out, into, generator=drawn) * (2 / into) ** 0.5).transpose(1, 2)
            for into, out in converter.weight_shapes
        ]
        vectors = [0.1 * torch.randn(1, *shape, generator=drawn) for shape in converter.bias_shapes]
        return QNetBatch(tuple(matrices), tuple(vectors), converter)

    return [one(seed) for seed in range(case.queries)]


def case_of(folder: Path) -> Case:
    return Case(**json.loads((folder / "case.json").read_text(encoding="utf-8")))


def published_way(folder: Path, dtype: str) -> None:
    """The published code; one query at a time, after a first search of a few documents."""
    import numpy as np
    import torch

    from hypestore import Store

    kind = getattr(torch, dtype)
    nets = [published.q_net(net, kind) for net in q_nets(case_of(folder))]
    corpus = Store.open(folder / "store").embeddings("vectors")
    vectors = np.concatenate([block for _, block in corpus.blocks()]).astype(np.float32)
    names = corpus.ids(np.arange(corpus.n))
    published.exact_search(names[:2000], vectors[:2000], kind).search(nets[0], 10)
    searcher = published.exact_search(names, vectors, kind)
    stopwatch = Stopwatch()
    rankings = [searcher.search(net, K) for net in nets]
    finish(folder, f"published-{dtype}", rankings, **stopwatch.figures())


def plain_way(folder: Path, dtype: str) -> None:
    import numpy as np
    import plain
    import torch

    from hypestore import Store

    nets = q_nets(case_of(folder))
    corpus = Store.open(folder / "store").embeddings("vectors")
    vectors = np.concatenate([block for _, block in corpus.blocks()]).astype(np.float32)
    names = corpus.ids(np.arange(corpus.n))
    items = [plain.Item(name, "", row) for name, row in zip(names, vectors, strict=True)]
    if dtype == "bfloat16":
        nets = [in_bfloat16(net.to(dtype=torch.bfloat16)) for net in nets]
    plain.search(nets[0], items[:2000], 10)
    stopwatch = Stopwatch()
    rankings = [plain.search(net, items, K) for net in nets]
    finish(folder, f"plain-{dtype}", rankings, **stopwatch.figures())


def in_bfloat16(net: Callable) -> Callable:
    """Takes what the plain search gives, and gives what its lists hold."""
    return lambda vectors: net(vectors.bfloat16()).float()


def hype_way(folder: Path, dtype: str) -> None:
    import numpy as np
    import torch

    from hypencli.engine.certified import ErrorBoundedEngine, FirstPassOptions
    from hypencli.engine.corpus import VectorCorpus
    from hypencli.engine.exact import ExactEngine
    from hypencli.engine.registry.exact import EXACT, ExactOptions
    from hypencli.engine.results import Engine
    from hypencli.engine.scorers import QNetScorer
    from hypestore import Store

    case = case_of(folder)
    corpus = Store.open(folder / "store").embeddings("vectors")

    def engine_of(corpus: object) -> Engine:
        if dtype == "auto":
            return EXACT.open(ExactOptions(), context(folder, corpus))
        if dtype == "float32":
            return ExactEngine(corpus)
        return ErrorBoundedEngine(corpus, FirstPassOptions(dtype=getattr(torch, dtype)))

    engine = engine_of(corpus)
    scorer = QNetScorer(q_nets(case), case.dim)
    few = VectorCorpus(corpus.vectors(np.arange(2000)))
    engine_of(few).search(scorer.select([0]), k=10)
    stopwatch = Stopwatch()
    searched = engine.search(scorer, k=K)
    more = stopwatch.figures()
    if searched.scan is not None:
        more |= {
            "rescored": float(searched.scan.rescored.mean()),
            "widened": int((searched.scan.widened > 0).sum()),
            "added": int(searched.scan.widened.max()),
            "bound": float(searched.scan.bound.max()),
            "fell_back": int(searched.scan.fell_back.sum()),
        }
    finish(folder, f"hype-{dtype}", searched.rankings, **more)


def context(folder: Path, corpus: object) -> object:
    """What exact search is told when it is opened: for `auto`, the speed of this machine."""
    from types import SimpleNamespace

    import torch

    from hypencli.engine.registry.entry import SearchRequest
    from hypencli.ops.search.scan import speed_ratios
    from hypestore import Store

    dim = case_of(folder).dim
    return SimpleNamespace(
        corpus=corpus,
        request=SearchRequest(k=K, q_nets=True),
        device=torch.device("cpu"),
        dtype=torch.float32,
        speed_ratios=lambda: speed_ratios(Store.open(folder / "store"), dim, dim),
    )


def finish(folder: Path, side: str, rankings: Rankings, *, seconds: float, **more: float) -> None:
    """Write what was found, and tell what it took."""
    (folder / f"top-{side}.json").write_text(json.dumps(rankings), encoding="utf-8")
    case = case_of(folder)
    tell(
        seconds=seconds,
        scores_per_second=case.documents * case.queries / seconds,
        gflop_per_second=case.gflop / seconds,
        **more,
    )


def ceiling(folder: Path, dtype: str) -> None:
    """The rate of matrix products, one a thread as the engine has them, the faster of two ways."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    import torch

    from hypencli.models.qnets.packed import PrepackedLinear
    from hypencli.models.qnets.quantised import QuantisedLinear

    threads, kind = torch.get_num_threads(), getattr(torch, dtype)
    torch.set_num_threads(1)
    dim = case_of(folder).dim
    rows, matrix = torch.randn(CEILING_ROWS, dim), torch.randn(dim, dim)
    if dtype == "int8":
        layer = QuantisedLinear(matrix, torch.zeros(dim), like=rows, relu=False)
        levels = layer.as_bytes(rows).clone()
        ways = [lambda: layer.of_bytes(levels)]
    else:
        rows, plain, packed = rows.to(kind), matrix.to(kind), PrepackedLinear(matrix, dtype=kind)
        ways = [lambda: torch.mm(rows, plain), lambda: packed(rows)]

    @torch.inference_mode()
    def rate(multiply: Callable[[], object]) -> float:
        multiply()
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < CEILING_SECONDS:
            multiply()
            count += 1
        return count * 2 * CEILING_ROWS * dim**2 / elapsed / 1e9

    with ThreadPoolExecutor(threads) as pool:
        rates = [
            sum(each.result() for each in [pool.submit(rate, way) for _ in range(threads)])
            for way in ways
        ]
    tell(gflop_per_second=max(rates))


SIDES: dict[str, Callable[[Path], None]] = {
    f"{side}-{dtype}": lambda folder, run=run, dtype=dtype: run(folder, dtype)
    for dtype in DTYPES
    for side, run in (
        ("ceiling", ceiling),
        ("plain", plain_way),
        ("published", published_way),
        ("hype", hype_way),
    )
    if not (side in ("plain", "published") and dtype == "int8")
} | {"hype-auto": lambda folder: hype_way(folder, "auto")}


def sides(dtypes: Sequence[str]) -> list[str]:
    """The sides of a run: the published code itself, or the plain implementation of its way."""
    other = {"plain", "published"} - {published.side()}
    return [
        side
        for side in SIDES
        if side.partition("-")[0] not in other and side.partition("-")[2] in (*dtypes, "auto")
    ]


def compare(case: Case, repeat: int, dtypes: Sequence[str]) -> None:
    """Measure all sides in turn; print each, then what they come to."""
    actual: dict[str, list[Figures]] = {side: [] for side in sides(dtypes)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, case)
        for _ in range(repeat):
            for side, runs in actual.items():
                runs.append(measure(__file__, side, folder))
                say(case, side=side, **runs[-1])
        same = {side: same_top(folder, side) for side in actual if "ceiling" not in side}
    say(case, summary=summary(actual), same_top_1000=same)
    check(all(one["as_hype_float32"] == 1.0 for side, one in same.items() if "hype" in side))


def same_top(folder: Path, side: str) -> dict[str, float]:
    """Share of queries whose best 1,000 are those of float32, ids and order."""
    (mine, theirs, ours) = (
        json.loads((folder / f"top-{one}.json").read_text(encoding="utf-8"))
        for one in (side, f"{published.side()}-float32", "hype-float32")
    )
    pairs = list(zip(ids_of(mine), ids_of(theirs), strict=True))
    return {
        f"as_{published.side()}_float32": statistics.mean(a == b for a, b in pairs),
        "as_hype_float32": statistics.mean(
            a == b for a, b in zip(ids_of(mine), ids_of(ours), strict=True)
        ),
        "places_that_differ": statistics.mean(
            sum(x != y for x, y in zip(a, b, strict=True)) for a, b in pairs
        ),
        "documents_shared": statistics.mean(len(set(a) & set(b)) / len(b) for a, b in pairs),
        **dict(
            zip(
                ("largest_gap_of_swapped", "largest_difference_of_one"),
                map(max, zip(*map(apart, mine, theirs), strict=True)),
                strict=True,
            )
        ),
    }


def ids_of(rankings: Rankings) -> list[list[str]]:
    return [[doc_id for doc_id, _ in ranking] for ranking in rankings]


def apart(mine: Ranking, theirs: Ranking) -> tuple[float, float]:
    """Of one query, in units of float32's rounding of its largest score.

    The largest gap, by the published way, of the two documents at a place where both sides have
    another one; and the largest difference of both sides' scores of one document.
    """
    of_mine, of_published = dict(map(tuple, mine)), dict(map(tuple, theirs))
    unit = EPSILON * max(abs(score) for score in of_published.values())
    gaps = [
        abs(of_published[x] - of_published[y])
        for (x, _), (y, _) in zip(mine, theirs, strict=True)
        if x != y and x in of_published
    ]
    differences = [
        abs(score - of_mine[doc_id]) for doc_id, score in of_published.items() if doc_id in of_mine
    ]
    return round(max(gaps, default=0.0) / unit, 1), round(max(differences) / unit, 1)


def summary(actual: dict[str, list[Figures]]) -> dict[str, object]:
    """Medians and spreads by side, and ratios of medians."""
    rates = {
        side: [run["gflop_per_second"] for run in runs] for side, runs in actual.items() if runs
    }
    median = {side: statistics.median(values) for side, values in rates.items()}
    processor = {
        side: statistics.median(run["cpu_seconds"] for run in runs)
        for side, runs in actual.items()
        if "ceiling" not in side
    }
    other = published.side()
    return {
        "gflop_per_second": {side: round(value, 1) for side, value in median.items()},
        "spread": {side: [round(min(v), 1), round(max(v), 1)] for side, v in rates.items()},
        "scores_per_second": {
            side: round(statistics.median(run["scores_per_second"] for run in runs))
            for side, runs in actual.items()
            if "ceiling" not in side
        },
        "peak_mb": {
            side: round(statistics.median(run["peak_mb"] for run in runs))
            for side, runs in actual.items()
        },
        "share_of_ceiling": {
            dtype: round(median[f"hype-{dtype}"] / median[f"ceiling-{dtype}"], 3)
            for dtype in DTYPES
            if f"hype-{dtype}" in median
        },
        **{
            f"times_{basis}": {
                side: round(median[side] / median[basis], 2)
                for side in median
                if "ceiling" not in side and side != basis
            }
            for basis in (f"{other}-float32", f"{other}-bfloat16")
            if basis in median
        },
        f"times_{other}-float32_in_processor_time": {
            side: round(processor[f"{other}-float32"] / processor[side], 2) for side in processor
        },
    }


def say(case: Case, **values: object) -> None:
    print(json.dumps({**vars(case), **values}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--dtypes", choices=DTYPES, nargs="+", default=DTYPES)
    parser.add_argument("--published", type=Path, help="a checkout of the published code")
    options = parser.parse_args()
    published.set_folder(options.published)
    if options.side is not None:
        SIDES[options.side](options.folder)
        return
    say_machine()
    cases = QUICK if options.quick else FULL
    if options.documents is not None:
        cases = [Case(options.documents, options.dim, options.queries)]
    for case in cases:
        compare(case, 1 if options.quick else options.repeat, options.dtypes)


if __name__ == "__main__":
    sys.exit(main())
