"""Opening 1,000,000 × 768 vectors: time and private memory, against one object a document.

    python benchmarks/opening.py              # what docs/benchmarks.md quotes; 2.5 GB of disk
    python benchmarks/opening.py --quick      # a hundredth of it

Opening means finding the set and mapping every row group, not reading the vectors. The plain side
must read them: it reads a tenth, and its figures are given as they are and ten times. The ceiling
is what reading all vectors takes at least: from the disk, and from memory.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from measuring import Figures, Sides, check, folder_of, in_turn, medians, options_of, spreads, tell

DIM, SHARD_ROWS = 768, 16_384
PLAIN_SHARE = 10


def prepare(folder: Path, *, documents: int) -> None:
    """One block of random vectors, over and over, in both formats; the plain one holds a tenth."""
    from plain import Item, write_item

    from hypestore import EmbeddingSpec, Store

    block = np.random.default_rng(0).standard_normal((SHARD_ROWS, DIM)).astype(np.float16)
    spec = EmbeddingSpec(
        id_prefix="vectors",
        inputs={"n": documents},
        dim=DIM,
        shard_rows=SHARD_ROWS,
        keep_text=False,
    )
    with Store.create(folder / "store").embedding_work(spec, name="vectors") as work:
        for shard, start in enumerate(range(0, documents, SHARD_ROWS)):
            count = min(SHARD_ROWS, documents - start)
            ids = [f"d{place}" for place in range(start, start + count)]
            work.write_shard(shard, ids, block[:count])
        work.finish(documents)
    with (folder / "vectors.docs").open("wb") as out:
        for place in range(documents // PLAIN_SHARE):
            vector = block[place % SHARD_ROWS].astype(np.float32)
            write_item(out, Item(f"d{place}", "", vector))


def open_hype(folder: Path) -> None:
    from hypestore import Store

    before, started = private_mb(), time.perf_counter()
    embeddings = Store.open(folder / "store").embeddings("vectors")
    blocks = list(embeddings.blocks())
    seconds = time.perf_counter() - started
    check(sum(len(block) for _, block in blocks) == embeddings.n)
    check(all(not block.flags.owndata for _, block in blocks))
    tell(seconds=seconds, private_mb=private_mb() - before, process_mb=private_mb())


def open_plain(folder: Path) -> None:
    import plain

    before, started = private_mb(), time.perf_counter()
    items = list(plain.read_items(folder / "vectors.docs"))
    seconds = time.perf_counter() - started
    check(len(items) > 0)
    tell(seconds=seconds, private_mb=private_mb() - before, process_mb=private_mb())


def read_all(folder: Path) -> None:
    """All vectors read from the disk, then once more from memory."""
    paths = sorted((folder / "store" / "embeddings").glob("*/vectors-*.parquet"))
    for path in paths:
        forget(path)
    n_bytes = sum(path.stat().st_size for path in paths)
    seconds = [timed(lambda: [path.read_bytes() for path in paths]) for _ in range(2)]
    tell(disk_gb_s=n_bytes / seconds[0] / 1e9, memory_gb_s=n_bytes / seconds[1] / 1e9)


def forget(path: Path) -> None:
    """Drop a file from the page cache, as far as the system follows."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def private_mb() -> float:
    """Memory of this process that it shares with nobody."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    private = (line.split()[1] for line in lines if line.startswith("Private_"))
    return sum(map(int, private)) * 1024 / 1e6


SIDES: Sides = {"open-hype": open_hype, "open-plain": open_plain, "open-ceiling": read_all}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    options = options_of(parser, SIDES, repeat=5, quick={"documents": 10_000})
    with folder_of(options, partial(prepare, documents=options.documents)) as folder:
        sides = ("hype", "plain", "ceiling")
        actual = in_turn(__file__, "open", folder, repeat=options.repeat, sides=sides)
        print(json.dumps(summary(actual)))


def summary(actual: dict[str, list[Figures]]) -> dict[str, object]:
    of_sides = medians(actual)
    scaled = {key: PLAIN_SHARE * of_sides["plain"][key] for key in ("seconds", "private_mb")}
    return {
        "job": "open",
        "median": of_sides,
        "spread": spreads(actual),
        "plain_scaled": scaled,
        "times_faster": scaled["seconds"] / of_sides["hype"]["seconds"],
        "times_less_memory": scaled["private_mb"] / of_sides["hype"]["private_mb"],
    }


if __name__ == "__main__":
    main()
