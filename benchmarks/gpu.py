"""A GPU: the rate of the scan as a share of the card's peak, search, encoding, a training step.

    python benchmarks/gpu.py                             # the first CUDA device, 8.8 million x 768
    python benchmarks/gpu.py --device cuda:1 --documents 1000000 --folder /fast/disk
    python benchmarks/gpu.py --device cpu --scale tiny   # seconds: the same script anywhere

One JSON line a job, after one that says what the machine is:

- ``peak``: a large matrix product in bfloat16, and what the card's data sheet says (dense).
- ``scan``: a first pass in bfloat16 over resident vectors, for one query and for many, with and
  without ``torch.compile``; the arithmetic of the q-nets alone counts.
- ``search``: ``ErrorBoundedEngine``, one query, k = 1,000: vectors streamed from a mapped file and
  resident. The paper has 1,769.8 ms for 8.8 million documents (L40S).
- ``encode``: BERT base without trained weights, bfloat16, texts of 16 to 256 tokens.
- ``train``: forward, backward and AdamW of a Hypencoder, bfloat16.

Vectors are noise in float16: the time of a scan does not depend on their values. The mapped file
has 13.6 GB at the full scale; it is made in a temporary folder, or kept in --folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import say_machine

from hypencli.engine.certified import ErrorBoundedEngine, FirstPassOptions
from hypencli.engine.corpus import Ordinals, VectorCorpus
from hypencli.engine.device.streaming import DeviceCorpus, DeviceOptions
from hypencli.engine.exact import CorpusPass
from hypencli.engine.scorers import QNetScorer
from hypencli.models.building.spec import ModelSpec, build_dual_encoder
from hypencli.models.encoding import EncodingOptions, encode_tokens
from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.registry import RepeatedDenseBlockConverter
from hypencli.runtime import quiet_libraries
from hypencli.training.step import TrainingStep
from hypencli.workers import ALONE

DATA_SHEET_TFLOPS = {
    "B200": 2250,
    "H200": 989,
    "H100 PCIe": 756,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "A10": 125,
    "RTX 4090": 165,
    "RTX 3090": 71,
    "L4": 121,
}
"""Dense bfloat16 rate by the makers' data sheets; the first name that the card's contains."""

PAPER_MS = 1769.8
WRITTEN_ROWS = 65_536


@dataclass(frozen=True)
class Scale:
    """How much each job does."""

    documents: int
    dim: int
    layers: int
    queries: int
    k: int
    product: int
    texts: int
    tokens: int
    encoder: dict[str, int]
    batch: tuple[int, int]
    repeat: int


BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
SCALES = {
    "full": Scale(8_841_823, 768, 6, 64, 1_000, 8_192, 20_000, 256, BASE, (64, 8), 5),
    "small": Scale(500_000, 768, 6, 16, 1_000, 4_096, 2_000, 256, BASE, (16, 4), 3),
    "tiny": Scale(
        *(3_000, 32, 2, 3, 10, 128, 24, 32),
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        (2, 2),
        2,
    ),
}


class MappedVectors(VectorCorpus):
    """Vectors in a mapped file; the id of a document is its place."""

    def ids(self, ordinals: Ordinals, /) -> list[str]:
        return [str(ordinal) for ordinal in ordinals.tolist()]


def mapped(folder: Path, scale: Scale) -> MappedVectors:
    """Map the vectors; write them if the folder does not have them."""
    path = folder / f"vectors-{scale.documents}x{scale.dim}.f16"
    shape = (scale.documents, scale.dim)
    if not path.is_file() or path.stat().st_size != 2 * scale.documents * scale.dim:
        drawn = np.random.default_rng(0)
        rows = drawn.normal(size=(WRITTEN_ROWS, scale.dim)).astype(np.float16) / scale.dim**0.5
        with path.open("wb") as out:
            for start in range(0, scale.documents, WRITTEN_ROWS):
                # Each block in another order of the columns: no two documents are equal.
                block = rows[:, drawn.permutation(scale.dim)]
                out.write(block[: scale.documents - start].astype(np.float16).tobytes())
    return MappedVectors(np.memmap(path, dtype=np.float16, mode="r", shape=shape), ids=())


def q_nets(count: int, scale: Scale, device: torch.device) -> QNetScorer:
    """Random q-nets of the published architecture."""
    converter = RepeatedDenseBlockConverter([scale.dim] * (scale.layers + 1) + [1])
    drawn = torch.Generator().manual_seed(0)

    def tensors(shapes: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, ...]:
        return tuple(
            (torch.randn(1, *shape, generator=drawn) * (2 / shape[0]) ** 0.5).to(device)
            for shape in shapes
        )

    nets = [
        QNetBatch(tensors(converter.weight_shapes), tensors(converter.bias_shapes), converter)
        for _ in range(count)
    ]
    return QNetScorer(nets, scale.dim)


def synchronised(device: torch.device) -> float:
    """The time, when the device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_of(work: Callable[[], object], device: torch.device, repeat: int) -> list[float]:
    """Of each run, after a first one that is not counted."""
    work()
    taken = []
    for _ in range(repeat):
        started = synchronised(device)
        work()
        taken.append(synchronised(device) - started)
    return taken


def peak(scale: Scale, device: torch.device) -> float:
    """The measured rate of a large product in bfloat16, in operations a second."""
    one = torch.randn(scale.product, scale.product, dtype=torch.bfloat16, device=device)
    taken = seconds_of(lambda: one @ one, device, 10 * scale.repeat)
    rate = 2 * scale.product**3 / min(taken)
    say("peak", tflops=rate / 1e12, data_sheet_tflops=data_sheet(device))
    return rate


def data_sheet(device: torch.device) -> float | None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((rate for card, rate in DATA_SHEET_TFLOPS.items() if card in name), None)


def scan(
    corpus: MappedVectors, scale: Scale, device: torch.device, best: float, *, compiled: bool
) -> None:
    """A first pass over resident vectors, for one query and for many."""
    options = DeviceOptions(resident=True, compile=compiled)
    on_device = DeviceCorpus(corpus, device, options)
    search = CorpusPass(ALONE, doc_ids=corpus.ids, device=device, dtype=torch.bfloat16)
    for count in (1, scale.queries):
        scorer = q_nets(count, scale, device)
        taken = seconds_of(
            lambda scorer=scorer: search(scorer, on_device.blocks(), k=scale.k),
            device,
            scale.repeat,
        )
        seconds = statistics.median(taken)
        per_document = 2 * scale.layers * scale.dim**2 + 2 * scale.dim
        rate = count * corpus.n * per_document / seconds
        sheet = data_sheet(device)
        say(
            "scan",
            queries=count,
            compiled=compiled,
            ms=1e3 * seconds,
            tflops=rate / 1e12,
            share_of_measured_peak=rate / best,
            share_of_data_sheet=None if sheet is None else rate / sheet / 1e12,
            scores_per_second=count * corpus.n / seconds,
        )


def search(corpus: MappedVectors, scale: Scale, device: torch.device) -> None:
    """One query over all documents, certified in float32, streamed and resident."""
    scorer = q_nets(1, scale, device)
    rankings = {}
    for resident in (False, True):
        engine = ErrorBoundedEngine(
            DeviceCorpus(corpus, device, DeviceOptions(resident=resident)),
            FirstPassOptions(dtype=torch.bfloat16),
            device=device,
        )
        taken = seconds_of(
            lambda engine=engine: engine.search(scorer, k=scale.k), device, scale.repeat
        )
        result = engine.search(scorer, k=scale.k)
        rankings[resident] = result.rankings
        say(
            "search",
            documents=corpus.n,
            resident=resident,
            ms=1e3 * statistics.median(taken),
            least_ms=1e3 * min(taken),
            most_ms=1e3 * max(taken),
            paper_ms=PAPER_MS,
            rescored=int(result.scan.rescored[0]),
            fell_back=bool(result.scan.fell_back[0]),
        )
    if rankings[False] != rankings[True]:
        raise SystemExit("streamed and resident vectors gave different rankings")


@contextmanager
def model(scale: Scale, device: torch.device) -> Iterator[Any]:
    """A Hypencoder on an encoder with the weights of its initialisation."""
    from transformers import BertConfig, BertModel

    quiet_libraries()
    config = BertConfig(
        vocab_size=30_522, intermediate_size=4 * scale.encoder["hidden_size"], **scale.encoder
    )
    with tempfile.TemporaryDirectory() as folder:
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
        spec = ModelSpec(
            backbone=folder,
            pooling="mean",
            converter_options={"hidden_layers": scale.layers},
            losses=(("margin_mse", {}), ("cross_entropy", {"only_use_first_item": True})),
        )
        yield build_dual_encoder(spec).to(device)


def encode(dual: Any, scale: Scale, device: torch.device) -> None:
    """Passages of many lengths, sorted into batches of a token budget."""
    drawn = np.random.default_rng(0)
    lengths = drawn.integers(scale.tokens // 16, scale.tokens + 1, size=scale.texts)
    tokens = [drawn.integers(1_000, 30_000, size=length).tolist() for length in lengths]
    out = np.empty((scale.texts, scale.encoder["hidden_size"]), dtype=np.float32)
    options = EncodingOptions(max_length=scale.tokens, dtype=torch.bfloat16, device=device)
    encoder = dual.passage_encoder.eval()
    taken = seconds_of(
        lambda: encode_tokens(encoder, tokens, 0, options, out=out), device, scale.repeat
    )
    seconds = statistics.median(taken)
    say(
        "encode",
        texts_per_second=scale.texts / seconds,
        tokens_per_second=int(lengths.sum()) / seconds,
    )


def train(dual: Any, scale: Scale, device: torch.device) -> None:
    """Steps with gradients of all weights; AdamW is fused where the device has it."""
    step = TrainingStep(dual).train()
    optimizer = torch.optim.AdamW(step.parameters(), lr=2e-5, fused=True)
    n_queries, n_passages = scale.batch
    drawn = torch.Generator().manual_seed(0)

    def side(rows: int, width: int) -> dict[str, object]:
        ids = torch.randint(1_000, 30_000, (rows, width), generator=drawn).to(device)
        return {"chunks": [(ids, torch.ones_like(ids))]}

    queries = side(n_queries, 32)
    passages = side(n_queries * n_passages, scale.tokens)
    labels = torch.randn(n_queries, n_passages, generator=drawn).to(device)

    def once() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = step(queries, passages, None, labels)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    taken = seconds_of(once, device, scale.repeat)
    say("train", batch=list(scale.batch), ms=1e3 * statistics.median(taken))


def say(job: str, **figures: object) -> None:
    rounded = {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in figures.items()
    }
    print(json.dumps({"job": job, **rounded}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--documents", type=int)
    parser.add_argument("--folder", type=Path, help="where the vectors are, or are kept")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device; to see that the script runs: --device cpu --scale tiny")
    scale = SCALES[options.scale]
    if options.documents is not None:
        scale = Scale(**{**vars(scale), "documents": options.documents})
    say_machine(device=str(device))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        corpus = mapped(folder, scale)
        best = peak(scale, device)
        for compiled in (False,) if options.no_compile else (False, True):
            scan(corpus, scale, device, best, compiled=compiled)
        search(corpus, scale, device)
    with model(scale, device) as dual:
        encode(dual, scale, device)
        train(dual, scale, device)


if __name__ == "__main__":
    main()
