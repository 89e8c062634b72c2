"""Each verb that computes, quiet and beside one and two processes that keep a core busy.

    python benchmarks/contention.py              # what docs/benchmarks.md quotes
    python benchmarks/contention.py --quick      # smaller, a few minutes
    python benchmarks/contention.py --policy active --verbs queries train

One JSON line for each verb and number of busy processes, in turn: wall time and processor time of
the command (its start included), and how many times the quiet wall time it took. all-MiniLM-L6-v2
with a six-layer head, over docstrings. Each run has inputs of its own, so nothing that an earlier
one kept is used. With ``--policy`` threads wait so (OMP_WAIT_POLICY) instead of as hype has them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from end_to_end import prepare
from measuring import Figures, check, say_machine

BUSY = "while True: pass"
MODEL = ("--model", "six-layers")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each verb has to do."""

    documents: int = 20_000
    encoded: int = 200
    queries: int = 394
    searched_queries: int = 32
    steps: int = 4


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files of the verbs, and a different one for each run of one."""

    folder: Path
    sizes: Sizes

    def write(self) -> None:
        """Write the store, a corpus, and rows of a training."""
        from hypencli.data.demo import build_docstring_collection

        prepare(self.folder, documents=self.sizes.documents, questions=0)
        collection = build_docstring_collection()
        with self.file("corpus.jsonl").open("w", encoding="utf-8") as out:
            for one in collection.documents[:4_000]:
                out.write(json.dumps({"id": one.doc_id, "text": one.text}) + "\n")
        texts = [query.text for query in collection.heldout.queries]
        self.file("questions.json").write_text(json.dumps(texts), encoding="utf-8")
        bodies = [one.text for one in collection.documents]
        with self.file("rows.jsonl").open("w", encoding="utf-8") as out:
            for i, text in enumerate(texts[:200]):
                items = [
                    {"id": f"d{j}", "content": bodies[j % len(bodies)], "score": float(j == i)}
                    for j in range(i, i + 4)
                ]
                row = {"query": {"id": f"q{i}", "content": text}, "items": items}
                out.write(json.dumps(row) + "\n")

    def file(self, name: str) -> Path:
        return self.folder / name

    def queries(self, count: int, run: int) -> str:
        """A file of queries in an order of its own, so that the store has not kept them."""
        texts = json.loads(self.file("questions.json").read_text(encoding="utf-8"))
        drawn = random.Random(run).choices(texts, k=count)
        path = self.file(f"queries-{count}-{run}.jsonl")
        lines = (json.dumps({"id": str(i), "text": text}) for i, text in enumerate(drawn))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)


def encode(inputs: Inputs, run: int) -> list[str]:
    """Documents, in the default arithmetic."""
    limit = str(inputs.sizes.encoded + run)
    return ["encode", str(inputs.file("corpus.jsonl")), *MODEL, "--limit", limit]


def queries(inputs: Inputs, run: int) -> list[str]:
    """Many queries against few documents: reading them and writing q-nets is nearly all."""
    asked = inputs.queries(inputs.sizes.queries, run)
    return ["search", asked, *MODEL, "--embeddings", "few", "--k", "10"]


def search(inputs: Inputs, run: int) -> list[str]:
    """Some queries against all documents, exactly."""
    asked = inputs.queries(inputs.sizes.searched_queries, run)
    return ["search", asked, *MODEL, "--embeddings", "docs", "--k", "100"]


def approx(inputs: Inputs, run: int) -> list[str]:
    """The same, approximately."""
    asked = inputs.queries(inputs.sizes.searched_queries, 1_000 + run)
    place = ["--embeddings", "docs", "--k", "100"]
    return ["search", asked, *MODEL, *place, "--approx", "--recall", "0.95"]


def query(inputs: Inputs, run: int) -> list[str]:
    """One question."""
    return ["query", f"how is file {run} read", *MODEL, "--embeddings", "docs"]


def train(inputs: Inputs, run: int) -> list[str]:
    """Steps of a training with all weights."""
    from hypencli.ops.demo import encoder_folder

    settings = {
        "model.backbone": encoder_folder(),
        "model.freeze_encoder": "false",
        "training.cache_encoder": "false",
        "data.train": inputs.file("rows.jsonl"),
        "training.steps": inputs.sizes.steps,
        "training.batch_size": 4,
        "training.seed": 100 + run,
    }
    return ["train", "demo", *(word for each in settings.items() for word in _setting(*each))]


def _setting(name: str, value: object) -> tuple[str, str]:
    return "--set", f"{name}={value}"


VERBS: dict[str, Callable[[Inputs, int], list[str]]] = {
    one.__name__: one for one in (encode, queries, search, approx, query, train)
}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that keep a core busy each."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def measured(words: Sequence[str], inputs: Inputs, policy: str | None) -> Figures:
    """Wall time and processor time of one command."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    command = [sys.executable, "-m", "hypencli", *words, "--store", str(inputs.file("store"))]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--json"], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    check(not json.loads(done.stdout.splitlines()[-1]).get("existing", False))
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": used}


def compare(inputs: Inputs, options: argparse.Namespace) -> None:
    """Print one line for each verb and number of busy processes."""
    runs = iter(range(1, 10_000))
    for name in options.verbs:
        make = VERBS[name]
        measured(make(inputs, next(runs)), inputs, options.policy)  # files in the page cache
        figures: dict[int, list[Figures]] = {count: [] for count in options.busy}
        for _ in range(options.repeat):
            for count, of_count in figures.items():
                with busy(count):
                    of_count.append(measured(make(inputs, next(runs)), inputs, options.policy))
        least = {
            count: {key: statistics.median(one[key] for one in of) for key in of[0]}
            for count, of in figures.items()
        }
        quiet = least[options.busy[0]]["seconds"]
        for count, medians in least.items():
            line = {"verb": name, "busy": count, **medians, "times": medians["seconds"] / quiet}
            print(json.dumps({**line, "load": os.getloadavg()[0]}), flush=True)


def small_set(inputs: Inputs) -> None:
    """Vectors of a few documents beside those of all."""
    words = ["encode", str(inputs.file("corpus.jsonl")), *MODEL, "--limit", "50", "--name", "few"]
    measured(words, inputs, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=list(VERBS))
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--policy", choices=("active", "passive"))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    sizes = Sizes()
    if options.quick:
        options.repeat = 1
        sizes = Sizes(documents=2_000, encoded=40, queries=64, searched_queries=8, steps=2)
    say_machine(policy=options.policy)
    with tempfile.TemporaryDirectory() as temporary:
        inputs = Inputs(Path(temporary), sizes)
        inputs.write()
        small_set(inputs)
        compare(inputs, options)


if __name__ == "__main__":
    main()
