"""Encoding real texts in the order of their corpus, against the published way and a library.

    python benchmarks/encode.py --texts DIR/corpus.jsonl     # what docs/benchmarks.md quotes
    python benchmarks/encode.py --quick                      # docstrings, a minute

Texts of 5 to 250 words, in their order, cut to 256 tokens, all-MiniLM-L6-v2. The sides, in turn,
each a process of its own: hype in bfloat16 and in float32; the published way (`plain.py`: arrival
order, padded to the longest of 64, float32); `SentenceTransformer.encode` where it is installed.
Times leave out loading, and count tokenising and, on the plain side, writing. The least cosine is
that of any text in bfloat16 to float32. The ceiling is this machine's rate of large products, as
tokens a second that it would allow without attention; the share of it is that of each side's
arithmetic. Processor time is that of all threads.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from measuring import (
    Figures,
    Sides,
    Stopwatch,
    folder_of,
    in_turn,
    medians,
    options_of,
    spreads,
    tell,
)

MAX_LENGTH = 256
WORDS = range(5, 251)


def prepare(folder: Path, *, source: Path | None, count: int) -> None:
    """The first texts of a corpus, or of this Python's docstrings, of so many words."""
    if source is not None:
        from hypencli.data.corpus import open_corpus

        texts = (document.text for document in open_corpus(source))
    else:
        from hypencli.data.demo import build_docstring_collection

        texts = (document.text for document in build_docstring_collection().documents)
    selected = [text for text in texts if len(text.split()) in WORDS][:count]
    (folder / "texts.json").write_text(json.dumps(selected), encoding="utf-8")
    (folder / "tokens.json").write_text(json.dumps(count_tokens(selected)), encoding="utf-8")


def count_tokens(texts: list[str]) -> int:
    """All tokens that an encoder reads, without padding."""
    from hypencli.models.encoding import tokenise
    from hypencli.models.load import load_tokenizer
    from hypencli.ops.demo import encoder_folder

    return sum(map(len, tokenise(load_tokenizer(str(encoder_folder())), texts, MAX_LENGTH)))


def texts_in(folder: Path) -> list[str]:
    texts: list[str] = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    return texts


def encode_hype(folder: Path, dtype: str) -> None:
    import hypencli
    from hypencli.ops.demo import encoder_folder

    model, texts = hypencli.load(encoder_folder()), texts_in(folder)
    watch = Stopwatch()
    vectors = model.encode_passages(texts, max_length=MAX_LENGTH, dtype=dtype)
    tell(**watch.figures())
    np.save(folder / f"hype-{dtype}.npy", vectors)


def encode_plain(folder: Path) -> None:
    import plain

    import hypencli
    from hypencli.ops.demo import encoder_folder

    model, texts = hypencli.load(encoder_folder()), texts_in(folder)
    rows = ((str(place), text) for place, text in enumerate(texts))
    watch = Stopwatch()
    plain.encode(
        model.dual.passage_encoder, model.tokenizer, rows, folder / "plain.docs", MAX_LENGTH
    )
    tell(**watch.figures())


def encode_library(folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from hypencli.ops.demo import encoder_folder

    model, texts = SentenceTransformer(str(encoder_folder()), device="cpu"), texts_in(folder)
    model.max_seq_length = MAX_LENGTH
    watch = Stopwatch()
    vectors = model.encode(texts)
    tell(**watch.figures())
    np.save(folder / "sentence-transformers.npy", vectors)


def ceiling(folder: Path) -> None:
    """Rate of products 3,072 × 3,072 in both types, and tokens a second that they allow."""
    import torch

    import hypencli
    from hypencli.ops.demo import encoder_folder

    dual = hypencli.load(encoder_folder()).dual
    layers = dual.passage_encoder.transformer.encoder
    flops = 2 * sum(p.numel() for p in layers.parameters() if p.ndim == 2)
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        square = torch.ones(3072, 3072, dtype=dtype)
        best = min(timed(partial(torch.mm, square, square)) for _ in range(5))
        rates[str(dtype).removeprefix("torch.")] = 2 * 3072**3 / best
    figures = {f"{dtype}_gflops": rate / 1e9 for dtype, rate in rates.items()}
    tell(**figures, **{f"{dtype}_tokens_s": rate / flops for dtype, rate in rates.items()})


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


SIDES: Sides = {
    "encode-hype-bfloat16": partial(encode_hype, dtype="bfloat16"),
    "encode-hype-float32": partial(encode_hype, dtype="float32"),
    "encode-plain": encode_plain,
    "encode-sentence-transformers": encode_library,
    "encode-ceiling": ceiling,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, help="a JSONL corpus; docstrings where none is given")
    parser.add_argument("--count", type=int, default=4000)
    options = options_of(parser, SIDES, repeat=3, quick={"count": 100})
    sides = [side.removeprefix("encode-") for side in SIDES]
    if importlib.util.find_spec("sentence_transformers") is None:
        sides.remove("sentence-transformers")
        print(json.dumps({"skipped": "sentence-transformers is not installed"}))
    with folder_of(options, partial(prepare, source=options.texts, count=options.count)) as folder:
        actual = in_turn(__file__, "encode", folder, repeat=options.repeat, sides=sides)
        print(json.dumps(summary(actual, folder)))


def summary(actual: dict[str, list[Figures]], folder: Path) -> dict[str, object]:
    of_sides = medians(actual)
    others = [side for side in spreads(actual) if not side.startswith("hype")]
    return {
        "job": "encode",
        "texts": len(texts_in(folder)),
        "median": of_sides,
        "rates": rates(of_sides, folder),
        "spread": spreads(actual),
        "times_faster": {
            f"{side} than {other}": of_sides[other]["seconds"] / of_sides[side]["seconds"]
            for side in ("hype-bfloat16", "hype-float32")
            for other in others
        },
        "least_cosine": least_cosine(folder),
    }


def rates(of_sides: dict[str, Figures], folder: Path) -> dict[str, Figures]:
    """Texts and tokens a second of each side, and the share of the ceiling of its arithmetic."""
    n_texts = len(texts_in(folder))
    n_tokens = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
    ceiling = of_sides["ceiling"]
    figures = {}
    for side, medians_of_side in of_sides.items():
        if side == "ceiling":
            continue
        dtype = "bfloat16" if side.endswith("bfloat16") else "float32"
        tokens_s = n_tokens / medians_of_side["seconds"]
        figures[side] = {
            "texts_s": n_texts / medians_of_side["seconds"],
            "tokens_s": tokens_s,
            "share_of_ceiling": tokens_s / ceiling[f"{dtype}_tokens_s"],
        }
    return figures


def least_cosine(folder: Path) -> float:
    """Of any text's vector in bfloat16 to that in float32."""
    both = [np.load(folder / f"hype-{dtype}.npy") for dtype in ("bfloat16", "float32")]
    coarse, exact = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in both)
    return float((coarse * exact).sum(axis=1).min())


if __name__ == "__main__":
    main()
