"""A plain training loop in the published way, to measure against.

What it does is described by the published code's behaviour: a file that was tokenised once, with
the token ids in its JSON; passages of a batch padded to the longest of the batch, in the order of
the file; the encoder run over every text of every step, also where it is frozen; both losses, with
a copy of the passages for each query; AdamW, clipped gradients.

Where the published way costs more than the loop here, the loop has the cheaper one: it is not a
Trainer, it writes no checkpoint, margins are taken at once and not query by query, and a row holds
the passages that are used instead of 200 to draw from. The model's own modules are those that the
other side trains, so pooling leaves padding out on both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LEARNING_RATE = 2e-5
MAX_GRAD_NORM = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Queries ``[q, t]``, passages ``[q * m, t]``, and a teacher's scores ``[q, m]``."""

    query_ids: Tensor
    query_mask: Tensor
    passage_ids: Tensor
    passage_mask: Tensor
    labels: Tensor


def tokenise_file(
    rows: Path, tokenizer: Any, out: Path, *, query_max_length: int, passage_max_length: int
) -> None:
    """Training rows with the token ids of every text beside it, again as JSONL."""

    def ids(texts: list[str], max_length: int) -> list[list[int]]:
        return list(tokenizer(texts, truncation=True, max_length=max_length)["input_ids"])

    with rows.open(encoding="utf-8") as lines, out.open("w", encoding="utf-8") as created:
        for line in lines:
            row = json.loads(line)
            (row["query"]["tokenized_content"],) = ids([row["query"]["content"]], query_max_length)
            tokens = ids([item["content"] for item in row["items"]], passage_max_length)
            for item, of_item in zip(row["items"], tokens, strict=True):
                item["tokenized_content"] = of_item
            created.write(json.dumps(row) + "\n")


def read_batches(
    path: Path, tokenizer: Any, order: Sequence[int], batch_size: int
) -> Iterator[Batch]:
    """Batches of the lines of a tokenised file in this order, each line parsed when it is used."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for start in range(0, len(order), batch_size):
        rows = [json.loads(lines[i]) for i in order[start : start + batch_size]]
        queries = _padded(tokenizer, [row["query"] for row in rows])
        passages = _padded(tokenizer, [item for row in rows for item in row["items"]])
        labels = torch.tensor([[item["score"] for item in row["items"]] for row in rows])
        yield Batch(*queries, *passages, labels)


def _padded(tokenizer: Any, texts: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    """Ids and mask ``[n, t]``, padded to the longest."""
    padded = tokenizer.pad(
        [{"input_ids": text["tokenized_content"]} for text in texts],
        padding="longest",
        return_tensors="pt",
    )
    return padded["input_ids"], padded["attention_mask"]


def loss_of(dual: Any, batch: Batch) -> Tensor:
    """Margin MSE and in-batch cross-entropy over each query's first passage, added up."""
    q_nets = dual.query_encoder(batch.query_ids, batch.query_mask).representation
    passages = dual.passage_encoder(batch.passage_ids, batch.passage_mask).representation
    n_queries, per_query = batch.labels.shape
    own = q_nets(passages.view(n_queries, per_query, -1)).squeeze(-1).float()
    margins, taught = (each[:, :1] - each[:, 1:] for each in (own, batch.labels))
    copies = passages[::per_query].unsqueeze(0).repeat(n_queries, 1, 1)
    similarity = q_nets(copies).squeeze(-1).float()
    first = torch.arange(n_queries)
    return functional.mse_loss(margins, taught) + functional.cross_entropy(similarity, first)


def train(
    dual: Any,
    batches: Iterator[Batch],
    *,
    bfloat16: bool,
    on_begin: Callable[[], None],
    on_step: Callable[[float], None],
) -> None:
    """Train on every batch; tell when the first step begins, and the loss of each as it ends."""
    trained = [parameter for parameter in dual.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0)
    dual.train()
    on_begin()
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext():
            loss = loss_of(dual, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad()
        on_step(loss.item())
