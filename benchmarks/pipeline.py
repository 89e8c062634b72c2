"""Search: time and peak memory against a plain implementation.

    python benchmarks/pipeline.py                # what docs/benchmarks.md quotes
    python benchmarks/pipeline.py --quick        # a minute, to see that it runs

Every measurement is a process of its own, both sides in turn; one JSON line each, then medians
and ratios. Vectors are those of this Python's docstrings, repeated with a little noise where more
are asked for than there are.
"""

from __future__ import annotations

import argparse
import json
import statistics
from functools import partial
from pathlib import Path

from measuring import Sides, clock, folder_of, in_turn, options_of, summary

K = 1000
N_QUERIES = 8


def prepare(folder: Path, *, vectors: int) -> None:
    """Write what both sides read: questions, a q-net model, and vectors in both formats."""
    import numpy as np
    from plain import Item, write_item

    import hypencli
    from hypencli.data.demo import build_docstring_collection
    from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer
    from hypencli.ops.demo import encoder_folder
    from hypestore import EmbeddingSpec, Store

    collection = build_docstring_collection()
    texts = [(document.doc_id, document.text) for document in collection.documents]
    questions = [query.text for query in collection.heldout.queries[:N_QUERIES]]
    (folder / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    encoder = encoder_folder()
    spec = ModelSpec(backbone=str(encoder), converter_options={"hidden_layers": 6})
    build_dual_encoder(spec).save_pretrained(
        folder / "model", tokenizer=load_tokenizer(str(encoder))
    )
    model = hypencli.load(encoder)
    real = model.encode_passages([text for _, text in texts[:1000]], max_length=128)
    generator = np.random.default_rng(0)
    store = Store.create(folder / "store")
    spec = EmbeddingSpec(
        id_prefix="vectors", inputs={"n": vectors}, dim=real.shape[1], shard_rows=16384
    )
    with (
        (folder / "vectors.docs").open("wb") as out,
        store.embedding_work(spec, name="vectors") as work,
    ):
        for shard, start in enumerate(range(0, vectors, 16384)):
            count = min(16384, vectors - start)
            selected = generator.integers(len(real), size=count)
            created = real[selected] + generator.normal(0, 0.02, (count, real.shape[1]))
            created = created.astype(np.float16)
            ids = [f"d{start + i}" for i in range(count)]
            kept = [texts[i][1] for i in selected]
            work.write_shard(shard, ids, created, kept)
            for doc_id, text, vector in zip(ids, kept, created, strict=True):
                write_item(out, Item(doc_id, text, vector.astype(np.float32)))
        work.finish(vectors, stats={}, provenance={})


def search_hype(folder: Path) -> None:
    import hypencli
    import hypestore
    from hypencli.engine.exact import ExactEngine

    model = hypencli.load(folder / "model")
    queries = model.encode_queries(json.loads((folder / "questions.json").read_text()))
    embeddings = hypestore.Store.open(folder / "store").embeddings("vectors")
    with clock():
        result = ExactEngine(embeddings).search(queries.scorer(), k=K)
    write_top(folder / "top-hype.json", result.rankings)


def search_plain(folder: Path) -> None:
    import plain

    import hypencli

    model = hypencli.load(folder / "model")
    queries = model.encode_queries(json.loads((folder / "questions.json").read_text()))
    items = list(plain.read_items(folder / "vectors.docs"))
    nets = queries._states.q_nets()
    with clock():
        rankings = [plain.search(net, items, K) for net in nets]
    write_top(folder / "top-plain.json", rankings)


def write_top(path: Path, rankings: list[list[tuple[str, float]]]) -> None:
    path.write_text(json.dumps([[doc_id for doc_id, _ in one] for one in rankings]))


SIDES: Sides = {
    "search-hype": search_hype,
    "search-plain": search_plain,
}


def overlap(folder: Path) -> float:
    """How much of the plain top k the fast search has too (the vectors are float16 to both)."""
    tops = [json.loads((folder / f"top-{side}.json").read_text()) for side in ("hype", "plain")]
    shared = [len(set(a) & set(b)) / len(b) for a, b in zip(*tops, strict=True)]
    return statistics.mean(shared)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=100_000)
    options = options_of(parser, SIDES, repeat=3, quick={"vectors": 5_000})
    with folder_of(options, partial(prepare, vectors=options.vectors)) as folder:
        actual = in_turn(__file__, "search", folder, repeat=options.repeat)
        print(json.dumps(summary("search", actual)), flush=True)
        print(json.dumps({"top_k_shared": overlap(folder)}))


if __name__ == "__main__":
    main()
