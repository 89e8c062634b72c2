"""Hundreds of cycles in one store and one process: what grows, and what does not.

    python benchmarks/soak.py                    # 300 cycles: what docs/reliability.md quotes
    python benchmarks/soak.py --cycles 10        # to see that it runs

A cycle encodes a corpus that was never there, searches it, measures the run, makes the leaderboard,
and removes what was made ``--kept`` cycles before; every ``--cli-every`` cycles the command line
does the reporting, in processes of its own. One JSON line a sample.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

TOPICS = (("river", "water"), ("star", "planet"), ("bread", "flour"), ("music", "violin"))
GLUE = ["what", "is", "a", "the", "of", "near"]
DOCUMENTS = 48


def make_model(folder: Path) -> Path:
    """A random model, 8 wide, of a vocabulary of 19 words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer

    backbone = folder / "backbone"
    backbone.mkdir()
    words = [word for topic in TOPICS for word in topic] + GLUE
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (backbone / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(backbone)
    tokenizer = BertTokenizerFast(vocab=str(backbone / "vocab.txt"), model_max_length=64)
    tokenizer.save_pretrained(backbone)
    spec = ModelSpec(backbone=str(backbone), pooling="mean", converter_options={"hidden_layers": 2})
    built = build_dual_encoder(spec)
    built.save_pretrained(folder / "model", tokenizer=load_tokenizer(str(backbone)))
    return folder / "model"


def write_data(folder: Path, cycle: int) -> None:
    """A corpus of this cycle alone; queries and judgements are always the same."""
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as out:
        for i in range(DOCUMENTS):
            first, second = TOPICS[(i + i // 4 * cycle) % 4]
            text = f"the {first} {'of a ' * (i % 5)}{second} is near {first if cycle % 2 else ''}"
            out.write(json.dumps({"id": f"c{cycle}-d{i}", "text": text}) + "\n")
    with (
        (folder / "queries.jsonl").open("w", encoding="utf-8") as queries,
        (folder / "qrels.txt").open("w", encoding="utf-8") as qrels,
    ):
        for i, (first, _) in enumerate(TOPICS):
            queries.write(json.dumps({"id": f"q{i}", "text": f"what is {first}"}) + "\n")
            for j in range(i, DOCUMENTS, 4):
                qrels.write(f"q{i} 0 c{cycle}-d{j} 1\n")


def run_cycle(store: Any, folder: Path, model: str, cycle: int, *, cli: bool) -> str:
    """Encode, search, measure, report; gives the embedding set."""
    from hypencli.data.corpus import open_corpus
    from hypencli.data.queries import open_queries
    from hypencli.ops.encode import EncodeOptions, encode
    from hypencli.ops.evaluation.leaderboard import leaderboard
    from hypencli.ops.evaluation.run import EvaluateOptions, evaluate
    from hypencli.ops.models import ModelSource
    from hypencli.ops.search.options import Scoring, SearchOptions, Target
    from hypencli.ops.search.run import search

    write_data(folder, cycle)
    source = ModelSource(model)
    corpus = open_corpus(str(folder / "corpus.jsonl"))
    encoded = encode(store, corpus, source, EncodeOptions(device="cpu", shard_rows=16))
    options = SearchOptions(
        k=10, target=Target(embeddings=encoded.embeddings), scoring=Scoring(device="cpu")
    )
    searched = search(store, open_queries(str(folder / "queries.jsonl")), source, options)
    evaluate(store, searched.run, EvaluateOptions(qrels=str(folder / "qrels.txt")))
    if not cli:
        leaderboard(store)
    else:
        for verb in (("report",), ("ls",), ("doctor",)):
            command = [sys.executable, "-m", "hypencli", *verb, "--store", str(store.root)]
            subprocess.run(command, check=True, capture_output=True)
    return encoded.embeddings


def sample(store: Any, cycle: int, started: float) -> dict[str, float]:
    """What this process and its store take now."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (resident,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    files = [path for path in store.root.rglob("*") if path.is_file()]
    return {
        "cycle": cycle,
        "seconds": round(time.perf_counter() - started, 1),
        "resident_mb": round(int(resident.split()[1]) * 1024 / 1e6, 1),
        "open_files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "system_threads": len(list(Path("/proc/self/task").iterdir())),
        "artifacts": len(store.artifacts()),
        "temporary_files": sum(path.name.endswith(".tmp") for path in store.root.rglob(".*")),
        "lock_files": sum(path.suffix == ".lock" for path in files),
        "files": sum(path.suffix != ".lock" for path in files),
        "catalog_mb": round(store.catalog.path.stat().st_size / 1e6, 2),
        "store_mb": round(sum(path.stat().st_size for path in files) / 1e6, 2),
    }


def soak(folder: Path, options: argparse.Namespace) -> list[dict[str, float]]:
    """Run the cycles; a sample is printed and kept every so many, and after the last."""
    from hypencli.ops.models import ModelSource, find_model
    from hypestore import Store

    store = Store.create(folder / "store")
    model = find_model(store, ModelSource(str(make_model(folder)), label="soak")).id
    created: list[str] = []
    samples: list[dict[str, float]] = []
    started = time.perf_counter()
    for cycle in range(1, options.cycles + 1):
        cli = cycle % options.cli_every == 0
        created.append(run_cycle(store, folder, model, cycle, cli=cli))
        if len(created) > options.kept:
            store.remove(created.pop(0), force=True)
        if cycle % options.every == 0 or cycle == options.cycles:
            samples.append(sample(store, cycle, started))
            print(json.dumps(samples[-1]), flush=True)
    if store.doctor(checksums=True).findings:
        raise SystemExit("the doctor found something in the store")
    return samples


def slope(samples: list[dict[str, float]], key: str) -> float:
    """What a cycle adds, by least squares over the second half of the samples."""
    half = samples[len(samples) // 2 :]
    mean_cycle = sum(one["cycle"] for one in half) / len(half)
    mean_value = sum(one[key] for one in half) / len(half)
    products = sum((one["cycle"] - mean_cycle) * (one[key] - mean_value) for one in half)
    squares = sum((one["cycle"] - mean_cycle) ** 2 for one in half)
    return products / squares if squares else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=300)
    parser.add_argument("--every", type=int, default=10, help="cycles between samples")
    parser.add_argument("--kept", type=int, default=10, help="cycles whose artifacts stay")
    parser.add_argument("--cli-every", type=int, default=25)
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with tempfile.TemporaryDirectory() as folder:
        samples = soak(Path(folder), options)
    growth = ("resident_mb", "open_files", "catalog_mb")
    print(json.dumps({f"{key}_a_cycle": round(slope(samples, key), 4) for key in growth}))


if __name__ == "__main__":
    main()
