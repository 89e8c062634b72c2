"""BM25 of ``hype`` against rank_bm25, on collections at hand: quality and time, one JSON line each.

    python benchmarks/bm25.py COLLECTION … [--queries NAME] [--qrels NAME]

A collection is a folder with ``corpus.jsonl``, queries and judgements. Both sides see the same
words (the tokenizer of ``hype``) and the same k1 and b. rank_bm25 (``pip install rank-bm25``) is
another implementation, of another variant: its inverse document frequency has no ``1 +`` in the
logarithm, and negative ones are replaced (BM25Okapi). It takes one query after another.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from measuring import say_machine

from hypencli.data.corpus import open_corpus
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.engine.bm25.engine import Bm25Engine
from hypencli.engine.bm25.options import Bm25Options
from hypencli.engine.bm25.words import tokenizer
from hypencli.evaluation import measures

MEASURES = ("nDCG@10", "R@100", "RR@10")
DEPTH = 1000
PART = 16_384


@dataclass
class Texts:
    """A corpus in memory; the files of the index lie in a folder."""

    ids_: Sequence[str]
    rows: Sequence[str]
    folder: Path

    @property
    def n_parts(self) -> int:
        return -(-len(self.rows) // PART)

    def texts(self, part: int) -> Sequence[str]:
        return self.rows[part * PART : (part + 1) * PART]

    def ids(self, ordinals: Any, /) -> Sequence[str]:
        return [self.ids_[place] for place in ordinals]

    def cached(self, name: str, make: Any, **determined_by: object) -> Path:
        folder = self.folder / f"{name}-{determined_by.get('part', '')}"
        folder.mkdir()
        make(folder)
        return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collections", nargs="+", type=Path)
    parser.add_argument("--queries", default="queries.jsonl")
    parser.add_argument("--qrels", default="qrels.txt")
    parser.add_argument("--k1", type=float, default=0.9)
    parser.add_argument("--b", type=float, default=0.4)
    asked = parser.parse_args()
    say_machine()
    for collection in asked.collections:
        documents = list(open_corpus(collection / "corpus.jsonl"))
        queries = list(open_queries(collection / asked.queries))
        qrels = read_qrels(str(collection / asked.qrels)).qrels
        options = replace(Bm25Options(), k1=asked.k1, b=asked.b)
        ids = [document.doc_id for document in documents]
        texts = [document.text for document in documents]
        for side in (hype, other):
            run, building, searching = side(ids, texts, queries, options)
            values = measures.evaluate(run, qrels, measures.parse_measures(MEASURES)).aggregates
            line = {
                "collection": collection.name,
                "documents": len(ids),
                "queries": len(queries),
                "side": side.__name__,
                **{name: round(value, 4) for name, value in values.items()},
                "build_seconds": round(building, 2),
                "ms_a_query": round(1000 * searching / len(queries), 2),
                "load": round(os.getloadavg()[0], 1),
            }
            print(json.dumps(line), flush=True)


def hype(ids: list[str], texts: list[str], queries: list[Any], options: Bm25Options) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        engine = Bm25Engine.open(options, Texts(ids, texts, Path(folder)))
        built = time.perf_counter()
        found = engine.search([query.text for query in queries], k=DEPTH).rankings
        ended = time.perf_counter()
    run = {query.query_id: one for query, one in zip(queries, found, strict=True)}
    return run, built - started, ended - built


def other(ids: list[str], texts: list[str], queries: list[Any], options: Bm25Options) -> Any:
    from rank_bm25 import BM25Okapi

    started = time.perf_counter()
    splitting = tokenizer(options)
    words = list(splitting.streaming_tokenize(texts, update_vocab=True, allow_empty=False))
    index = BM25Okapi(words, k1=options.k1, b=options.b)
    built = time.perf_counter()
    run = {}
    for query in queries:
        (asked,) = splitting.streaming_tokenize([query.text], update_vocab=False, allow_empty=False)
        scores = index.get_scores(asked)
        best = sorted(range(len(ids)), key=lambda place: (-scores[place], ids[place]))[:DEPTH]
        run[query.query_id] = [(ids[place], float(scores[place])) for place in best]
    return run, built - started, time.perf_counter() - built


if __name__ == "__main__":
    main()
