"""Q-nets of six layers: written together, against one forward pass of the model a query.

    python benchmarks/queries.py              # what docs/benchmarks.md quotes
    python benchmarks/queries.py --quick

Questions about this Python's docstrings, repeated where there are too few, all-MiniLM-L6-v2; the
transformer has read them. Both sides, in turn in one process, write the same numbers up to
rounding. The ceiling is the time that the large products alone take at this machine's rate.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from measuring import check, say_machine, spread

from hypencli.data.demo import build_docstring_collection
from hypencli.models.encoding import EncodingOptions, QueryStates, encode_queries
from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer
from hypencli.models.qnets.batch import QNetBatch
from hypencli.ops.demo import encoder_folder

BATCH = 64
LAYERS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 8, 64, 1000])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    say_machine()
    if options.quick:
        options.counts, options.repeat = [1, 8], 1
    folder = str(encoder_folder())
    spec = ModelSpec(backbone=folder, converter_options={"hidden_layers": LAYERS})
    encoder = build_dual_encoder(spec).query_encoder
    queries = build_docstring_collection().heldout.queries
    asked = max(options.counts)
    texts = [queries[place % len(queries)].text for place in range(asked)]
    settings = EncodingOptions(max_length=64)
    started = time.perf_counter()
    encoded = encode_queries(encoder, load_tokenizer(folder), texts, settings)
    reading = time.perf_counter() - started
    print(json.dumps({"job": "read-queries", "queries": asked, "seconds": reading}))
    least = products_ms(encoder.width)
    for count in options.counts:
        compare(encoder, encoded, count, options.repeat, least)


def compare(
    encoder: torch.nn.Module, encoded: QueryStates, count: int, repeat: int, least: float
) -> None:
    """So many queries, in batches as a search takes them."""
    sides: dict[str, Callable[[int, int], object]] = {
        "together": encoded.q_nets,
        "plain": lambda start, stop: one_by_one(encoder, encoded, start, stop),
    }
    actual: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeat):
        for side, write in sides.items():
            started = time.perf_counter()
            for start in range(0, count, BATCH):
                write(start, min(start + BATCH, count))
            actual[side].append((time.perf_counter() - started) / count)
    agree(encoded.q_nets(0, 1)[0], one_by_one(encoder, encoded, 0, 1)[0])
    figures = {side: spread(seconds) for side, seconds in actual.items()}
    ratio = figures["plain"]["median_seconds"] / figures["together"]["median_seconds"]
    line = {"job": "write-q-nets", "queries": count, "seconds_per_query": figures}
    print(json.dumps({**line, "times_faster": ratio, "products_ms": least}), flush=True)


@torch.no_grad()
def one_by_one(
    encoder: torch.nn.Module, encoded: QueryStates, start: int, stop: int
) -> list[QNetBatch]:
    nets = []
    for states in encoded._states[start:stop]:
        batch = states.unsqueeze(0)
        nets.append(encoder(token_states=batch).representation)
    return nets


def agree(first: QNetBatch, second: QNetBatch) -> None:
    for one, other in zip(first.matrices, second.matrices, strict=True):
        check(torch.allclose(one, other, atol=1e-5, rtol=1e-4))


def products_ms(width: int) -> float:
    """Of the projections, as fast as this machine multiplies."""
    square = torch.ones(3072, 3072)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(square, square)
        seconds.append(time.perf_counter() - started)
    rate = 2 * 3072**3 / min(seconds)
    return 1000 * LAYERS * 2 * width**3 / rate


if __name__ == "__main__":
    main()
