"""`hype search` of one question over 45,000 documents, the start of the process included.

    python benchmarks/end_to_end.py              # what docs/benchmarks.md quotes
    python benchmarks/end_to_end.py --quick      # fewer documents, once

Processes in turn: the command; Python that imports torch; the same as hype has it, which collects
garbage rarely and is not taken apart at its end; and one that then loads the model. What the
command takes beyond such imports, loading and searching is hype's own. The vectors are those of
this Python's docstrings, repeated with a little noise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from measuring import Figures, Sides, check, folder_of, measure, options_of, spread, tell

SHARD_ROWS = 16_384
PARTS = ("query_encoding", "selection", "scoring", "topk", "writing")


def prepare(folder: Path, *, documents: int, questions: int) -> None:
    """A store with a six-layer Hypencoder and vectors of its encoder, and files of questions."""
    import hypencli
    from hypencli.data.demo import build_docstring_collection
    from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer
    from hypencli.ops.demo import encoder_folder
    from hypencli.ops.models import ModelSource, find_model
    from hypestore import EmbeddingSpec, Store

    encoder = str(encoder_folder())
    spec = ModelSpec(backbone=encoder, converter_options={"hidden_layers": 6})
    build_dual_encoder(spec).save_pretrained(folder / "model", tokenizer=load_tokenizer(encoder))
    collection = build_docstring_collection()
    for number, query in enumerate(collection.heldout.queries[:questions]):
        line = json.dumps({"id": query.query_id, "text": query.text})
        (folder / f"question-{number}.jsonl").write_text(line + "\n", encoding="utf-8")
    texts = [document.text for document in collection.documents[:1000]]
    real = hypencli.load(encoder).encode_passages(texts, max_length=128)
    store = Store.create(folder / "store")
    model = find_model(store, ModelSource(str(folder / "model"), label="six-layers"))
    facts = {"passage_fingerprint": model.stats["passage_fingerprint"], "corpus": "docstrings"}
    created = EmbeddingSpec(
        id_prefix="docs",
        inputs=facts,
        dim=real.shape[1],
        parents=(model.id,),
        shard_rows=SHARD_ROWS,
        keep_text=False,
    )
    generator = np.random.default_rng(0)
    with store.embedding_work(created, name="docs") as work:
        for shard, start in enumerate(range(0, documents, SHARD_ROWS)):
            ids = [f"d{place}" for place in range(start, min(start + SHARD_ROWS, documents))]
            vectors = real[generator.integers(len(real), size=len(ids))]
            work.write_shard(shard, ids, vectors + generator.normal(0, 0.02, vectors.shape))
        work.finish(documents)


def search(folder: Path, number: int) -> Figures:
    """Seconds of the command, and of the parts that it measures itself."""
    question = str(folder / f"question-{number}.jsonl")
    options = ["--model", "six-layers", "--embeddings", "docs", "--k", "1000", "--json"]
    command = [sys.executable, "-m", "hypencli", "search", question, *options]
    command += ["--store", str(folder / "store")]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - started
    parsed = json.loads(done.stdout.splitlines()[-1])
    check(parsed["n_results"] == 1000 and not parsed["existing"])
    return {"seconds": seconds, "search": sum(parsed["seconds"][part] for part in PARTS)}


def imports() -> None:
    import torch

    check(bool(torch.__version__))


def any_program(folder: Path) -> None:
    imports()
    tell()


def own_program(folder: Path) -> None:
    from hypencli.process import OwnProcess

    process = OwnProcess()
    any_program(folder)
    process.code = 0


def load(folder: Path) -> None:
    """Of the model, by hype's own code: after the imports, the reading alone."""
    imports()
    from hypencli.models.load import load_dual_encoder

    started = time.perf_counter()
    load_dual_encoder(folder / "model")
    tell(loading=time.perf_counter() - started)


def whole(side: str, folder: Path) -> Figures:
    """A side, with the time of its whole process."""
    started = time.perf_counter()
    actual = measure(__file__, side, folder)
    return {**actual, "seconds": time.perf_counter() - started}


SIDES: Sides = {"any-program": any_program, "own-program": own_program, "load": load}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=45_000)
    options = options_of(parser, SIDES, repeat=5, quick={"documents": 2_000})
    with folder_of(options, partial(prepare, documents=options.documents, questions=100)) as folder:
        compare(folder, options.repeat)


def compare(folder: Path, repeat: int) -> None:
    """All processes in turn, and what is left of the command for hype itself.

    One search is not counted: it compiles Python's files and reads everything from the disk.
    """
    done = len(list((folder / "store" / "runs").iterdir()))
    search(folder, done)
    actual: dict[str, list[float]] = {}
    for number in range(done + 1, done + 1 + repeat):
        command = search(folder, number)
        plain, imported = (
            whole(side, folder)["seconds"] for side in ("any-program", "own-program")
        )
        loading = measure(__file__, "load", folder)["loading"]
        times = {"command": command["seconds"], "search": command["search"]}
        times |= {"imports_of_any_program": plain, "imports": imported, "loading": loading}
        times["own"] = times["command"] - times["search"] - imported - loading
        for part, seconds in times.items():
            actual.setdefault(part, []).append(seconds)
        print(json.dumps({"job": "end-to-end", **times}), flush=True)
    for part, seconds in actual.items():
        print(json.dumps({"job": "end-to-end", "part": part, **spread(seconds)}))


if __name__ == "__main__":
    main()
