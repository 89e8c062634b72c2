"""A plain implementation of the published way, to measure against.

What it does is described by the published code's behaviour: documents in arrival order in batches
padded to the longest, one gzip-compressed record a document, a list of Python objects in memory,
one query at a time, 100,000 documents a batch, top k a batch, top k of those. Its q-net is the
published converter evaluated on a whole batch at once.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

ENCODING_BATCH = 64
SEARCH_BATCH = 100_000


@dataclass
class Item:
    """One encoded document."""

    id: str
    text: str
    representation: np.ndarray


def write_item(out: BinaryIO, item: Item) -> None:
    record = b"".join(
        struct.pack(">I", len(part)) + part
        for part in (item.id.encode(), item.text.encode(), item.representation.tobytes())
    )
    packed = gzip.compress(record)
    out.write(struct.pack(">I", len(packed)) + packed)


def read_items(path: Path) -> Iterator[Item]:
    with path.open("rb") as stream:
        while header := stream.read(4):
            record = gzip.decompress(stream.read(struct.unpack(">I", header)[0]))
            parts, offset = [], 0
            while offset < len(record):
                (length,) = struct.unpack_from(">I", record, offset)
                parts.append(record[offset + 4 : offset + 4 + length])
                offset += 4 + length
            vector = np.frombuffer(parts[2], dtype=np.float32)
            yield Item(parts[0].decode(), parts[1].decode(), vector)


@torch.no_grad()
def encode(
    encoder: Any, tokenizer: Any, documents: Iterable[tuple[str, str]], path: Path, max_length: int
) -> None:
    batch: list[tuple[str, str]] = []

    def flush(out: BinaryIO) -> None:
        inputs = tokenizer(
            [text for _, text in batch],
            padding=True,
            truncation=True,
            max_length=max_length,
            return_tensors="pt",
        )
        vectors = encoder(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        ).representation
        for (doc_id, text), vector in zip(batch, vectors.float().numpy(), strict=True):
            write_item(out, Item(doc_id, text, vector))
        batch.clear()

    with path.open("wb") as out:
        for document in documents:
            batch.append(document)
            if len(batch) == ENCODING_BATCH:
                flush(out)
        if batch:
            flush(out)


@torch.no_grad()
def search(q_net: Any, items: list[Item], k: int) -> list[tuple[str, float]]:
    best: list[tuple[str, float]] = []
    for start in range(0, len(items), SEARCH_BATCH):
        batch = items[start : start + SEARCH_BATCH]
        vectors = torch.from_numpy(np.stack([item.representation for item in batch]))
        scores = q_net(vectors.unsqueeze(0))[0, :, 0]
        values, places = torch.topk(scores, min(k, len(batch)))
        best += [
            (batch[place].id, value)
            for place, value in zip(places.tolist(), values.tolist(), strict=True)
        ]
    return sorted(best, key=lambda pair: -pair[1])[:k]
