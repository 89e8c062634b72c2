"""A frozen encoder runs over every text once; training then reads its states from memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hypencli.errors import ModelError, UsageError
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
from hypencli.models.encoder import TextEncoder
from hypencli.models.encoding import TOKEN_BUDGET, EncodingOptions, encode_passages
from hypencli.models.hypernet import Hypencoder
from hypencli.progress import Progress
from hypencli.training.config import StateCache, TrainingConfig
from hypencli.training.tables import StateTable, TokenTable, by_length


def refuse_unfrozen(dual: HypencoderDualEncoder | TextDualEncoder) -> None:
    """A cache holds what the encoder gave at the start: it must not change after that.

    Raises:
        ModelError: An encoder is trained.
    """
    if not (dual.query_encoder.frozen and dual.passage_encoder.frozen):
        raise ModelError(
            "Token states can only be cached for a frozen encoder; this one is trained.",
            hint="Set model.freeze_encoder = true, or training.cache_encoder = false.",
        )


def refuse_beyond_limit(
    queries: TokenTable, n_passages: int, *, width: int, cache: StateCache
) -> None:
    """Say before anything is encoded that the states would not fit.

    Raises:
        UsageError: They would take more memory than the limit.
    """
    n_tokens = int(queries.offsets[-1])
    needed = n_tokens * width * cache.dtype.itemsize + n_passages * width * 4
    if needed > cache.limit_bytes:
        raise UsageError(
            f"Cached states of {len(queries):,} queries ({n_tokens:,} tokens) and {n_passages:,} "
            f"passages would take {needed / 1e9:.1f} GB; the limit is "
            f"{cache.limit_bytes / 1e9:.1f} GB.",
            hint="Raise training.cache_limit_gb, set training.cache_dtype = 'float16', lower "
            "data.query_max_length, or set training.cache_encoder = false.",
        )


@torch.no_grad()
def cache_query_states(
    encoder: Hypencoder | TextEncoder,
    tokens: TokenTable,
    config: TrainingConfig,
    cache: StateCache,
    progress: Progress,
) -> StateTable:
    """Token states of every query, each as if it were alone in its batch."""
    table = StateTable.empty(tokens.lengths, encoder.width, cache.dtype)
    budget = TOKEN_BUDGET.get(config.device.type, TOKEN_BUDGET["cpu"])
    options = _options(config)
    with progress.task("encoding queries", total=len(tokens), unit="queries") as task:
        for batch in by_length(tokens.lengths, budget):
            ids, mask = tokens.batch(batch)
            with options.autocast():
                states = encoder.token_states(ids.to(config.device), mask.to(config.device))
            for i, each in zip(batch, states.float().cpu(), strict=True):
                table.put(i, each)
            task.advance(len(batch))
    return table


def cache_embeddings(
    encoder: TextEncoder,
    tokenizer: Any,
    texts: Sequence[str],
    config: TrainingConfig,
    progress: Progress,
) -> Tensor:
    """Embeddings ``[n, d]`` of every passage."""
    with progress.task("encoding passages", total=len(texts), unit="passages") as task:
        vectors = encode_passages(encoder, tokenizer, texts, _options(config), task.advance)
    return torch.from_numpy(vectors)


def _options(config: TrainingConfig) -> EncodingOptions:
    return EncodingOptions(
        max_length=config.passage_max_length,
        dtype=torch.bfloat16 if config.mixed_bfloat16 else torch.float32,
        device=config.device,
    )
