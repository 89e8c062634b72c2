"""Texts to vectors and q-nets: tokenised once, batched by length, order kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hypencli.errors import ModelError
from hypencli.models.encoder import TextEncoder
from hypencli.models.hypernet import Hypencoder
from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.protocols import narrowed

TOKEN_BUDGET = {"cpu": 2_048, "cuda": 131_072, "mps": 16_384}
"""Tokens in one automatic batch, padding included, by device type; a CPU's caches want few."""

QUERY_BATCH = 32
"""Queries encoded at once, all of one length."""

Q_NET_BYTES, MOST_Q_NETS = 1 << 30, 256
"""Memory that the q-nets of one batch of queries may take, and how many there are at most."""


@dataclass(frozen=True, slots=True)
class EncodingOptions:
    """How texts are encoded.

    Attributes:
        max_length: Tokens a text is cut to, special tokens included.
        batch_size: Texts in a batch; None fills batches to a token budget for the device.
        dtype: Arithmetic of the encoder: float32, or autocast to bfloat16 or float16.
        device: Where the encoder runs.
    """

    max_length: int
    batch_size: int | None = None
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def autocast(self) -> AbstractContextManager[Any]:
        """The context the encoder runs in."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def tokenise(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Token ids of each text, special tokens included, cut to ``max_length``."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(
        list(texts),
        truncation=True,
        max_length=max_length,
        padding=False,
        return_attention_mask=False,
    )["input_ids"]
    return ids


def pad(
    rows: Sequence[Sequence[int] | npt.NDArray[np.int32]], pad_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids ``[n, t]`` padded on the right, and their attention mask ``[n, t]``."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[i, : len(row)] = 1
    return ids, mask


@torch.inference_mode()
def encode_passages(
    encoder: TextEncoder,
    tokenizer: Any,
    texts: Sequence[str],
    options: EncodingOptions,
    on_encoded: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Vectors ``[n, d]`` of passages, in the order given.

    Texts are encoded longest first, so that a batch holds little padding and an encoder that does
    not fit in memory fails on the first batch. Where the pooling divides by what padding is there
    (``mean-unmasked``), a batch holds texts of one length only: the vectors are then those of each
    text alone.

    Deviation: the published code encodes in arrival order, padded to the longest of the batch.
    """
    tokens = tokenise(tokenizer, texts, options.max_length)
    vectors = np.empty((len(tokens), encoder.width), dtype=np.float32)
    encode_tokens(
        encoder, tokens, tokenizer.pad_token_id or 0, options, out=vectors, on_encoded=on_encoded
    )
    return vectors


class TokenRows(Protocol):
    """Token ids of ``n`` texts."""

    def __len__(self) -> int:
        """How many texts."""
        ...

    def __getitem__(self, text: int, /) -> Sequence[int] | npt.NDArray[np.int32]:
        """Token ids ``[t]`` of one text."""
        ...


@torch.inference_mode()
def encode_tokens(
    encoder: TextEncoder,
    tokens: TokenRows,
    pad_id: int,
    options: EncodingOptions,
    *,
    out: npt.NDArray[np.generic],
    on_encoded: Callable[[int], None] | None = None,
) -> None:
    """Encode tokenised passages as :func:`encode_passages` does: vectors into ``out [n, d]``."""
    lengths = [len(tokens[i]) for i in range(len(tokens))]
    order = sorted(range(len(tokens)), key=lambda i: (-lengths[i], i))
    same_length = encoder.pooling == "mean-unmasked"
    in_dtype = encoder if options.dtype == torch.float32 else with_cast_linears(encoder, options)
    for batch in _batches(order, lengths, options, same_length=same_length):
        ids, mask = pad([tokens[i] for i in batch], pad_id)
        with options.autocast():
            output = in_dtype(
                input_ids=ids.to(options.device), attention_mask=mask.to(options.device)
            )
        out[batch] = output.representation.float().cpu().numpy()
        if on_encoded is not None:
            on_encoded(len(batch))


def with_cast_linears(encoder: TextEncoder, options: EncodingOptions) -> TextEncoder:
    """An encoder that shares all tensors with the one given, but for cast weights of linear layers.

    Autocast would cast these for every batch; the numbers that come out are the same.
    """
    tensors: dict[int, Any] = {id(one): one for one in (*encoder.parameters(), *encoder.buffers())}
    for module in encoder.modules():
        if isinstance(module, nn.Linear):
            for one in module.parameters(recurse=False):
                tensors[id(one)] = nn.Parameter(one.detach().to(options.dtype), requires_grad=False)
    return copy.deepcopy(encoder, tensors)


def _batches(
    order: Sequence[int],
    lengths: Sequence[int],
    options: EncodingOptions,
    *,
    same_length: bool,
) -> Iterator[list[int]]:
    """``order``, longest first, cut into batches."""
    budget = TOKEN_BUDGET.get(options.device.type, TOKEN_BUDGET["cpu"])
    batch: list[int] = []
    for i in order:
        if batch:
            width = lengths[batch[0]]
            limit = options.batch_size or max(1, budget // max(1, width))
            if len(batch) >= limit or (same_length and lengths[i] != width):
                yield batch
                batch = []
        batch.append(i)
    if batch:
        yield batch


class QueryStates:
    """Queries that have been read: q-nets or query vectors for any part of them.

    The transformer has run over all of them, in batches without padding that depend on nothing but
    the query set; q-nets, which are large (14 MB each at 6 layers of 768), are written on demand,
    with products of one query each. So a query's q-net is bit-equal for every batch size of a
    search.

    Args:
        encoder: The query encoder.
        states: A Hypencoder's token states ``[t, h]``, or a bi-encoder's query vector ``[d]``.
        options: How they were encoded; q-nets are written on the same device.
        width: Hidden width of the q-nets; None is the full one.
    """

    def __init__(
        self,
        encoder: Hypencoder | TextEncoder,
        states: list[torch.Tensor],
        options: EncodingOptions,
        width: int | None = None,
    ) -> None:
        self._encoder = encoder
        self._width = width
        self._states = states
        self._options = options

    def __len__(self) -> int:
        return len(self._states)

    @property
    def device(self) -> torch.device:
        """Where q-nets and vectors are made."""
        return self._options.device

    @property
    def has_q_nets(self) -> bool:
        """Whether the queries become q-nets; else they are vectors."""
        return isinstance(self._encoder, Hypencoder)

    @torch.no_grad()  # not inference mode: a search may ask for the slope of a q-net
    def q_nets(
        self, start: int = 0, stop: int | None = None, dtype: torch.dtype | None = None
    ) -> list[QNetBatch]:
        """One q-net a query, for the queries from ``start`` to ``stop``."""
        if not isinstance(self._encoder, Hypencoder):
            raise ModelError("There are no q-nets: the model is a bi-encoder.")
        states = [each.to(self._options.device) for each in self._states[start:stop]]
        nets = self._encoder.write_each(states, width=self._width)
        return [net if dtype in (None, net.dtype) else net.to(dtype=dtype) for net in nets]

    def batches(self, size: int | None = None) -> Iterator[range]:
        """The places of the queries that are searched together, batch after batch.

        Args:
            size: Queries of a batch; None takes as many as 1 GiB of q-nets holds, at most 256, and
                all queries at once where they are vectors.
        """
        if size is None and self.has_q_nets:
            size = max(1, min(MOST_Q_NETS, Q_NET_BYTES // max(1, self.q_net_bytes)))
        places = range(len(self))
        size = size or max(1, len(places))
        return (places[start : start + size] for start in range(0, len(places), size))

    @property
    def q_net_bytes(self) -> int:
        """Memory of one q-net; 0 where there are none."""
        if not isinstance(self._encoder, Hypencoder):
            return 0
        per_weight = next(self._encoder.parameters()).element_size()
        return per_weight * self._encoder.q_net_weights(self._width)

    def vectors(self, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Query vectors ``[q, d]`` of a bi-encoder."""
        rows = self._states[start:stop]
        if not rows:
            return torch.empty((0, self._encoder.width), device=self._options.device)
        return torch.stack(rows).to(self._options.device)


def encode_queries(
    encoder: Hypencoder | TextEncoder,
    tokenizer: Any,
    texts: Sequence[str],
    options: EncodingOptions,
    *,
    width: int | None = None,
) -> QueryStates:
    """Read queries: the transformer's part of making q-nets or query vectors.

    Args:
        encoder: The query encoder.
        tokenizer: Its tokenizer.
        texts: The queries.
        options: How they are encoded.
        width: Hidden width of the q-nets, where the model has several nested; None is the full one.

    Raises:
        ModelError: The model has no q-nets of that width.
    """
    if width is not None:
        refuse_width(encoder, width)
    tokens = tokenise(tokenizer, texts, options.max_length)
    order = sorted(range(len(tokens)), key=lambda i: (len(tokens[i]), texts[i]))
    return encode_query_tokens(encoder, tokens, options, order=order, width=width)


@torch.no_grad()  # not inference mode, for the same reason
def encode_query_tokens(
    encoder: Hypencoder | TextEncoder,
    tokens: TokenRows,
    options: EncodingOptions,
    *,
    order: Sequence[int] | None = None,
    width: int | None = None,
) -> QueryStates:
    """Read queries that are tokenised: :func:`encode_queries`, in an order from short to long."""
    states: list[torch.Tensor] = [torch.empty(0)] * len(tokens)
    if order is None:
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    for _, group in groupby(order, key=lambda i: len(tokens[i])):
        members = list(group)
        for start in range(0, len(members), QUERY_BATCH):
            batch = members[start : start + QUERY_BATCH]
            rows = _query_states(encoder, [list(tokens[i]) for i in batch], options)
            for i, row in zip(batch, rows, strict=True):
                states[i] = row
    return QueryStates(encoder, states, options, width)


def refuse_width(encoder: Hypencoder | TextEncoder, width: int) -> None:
    """Refuses a width that the encoder's q-nets do not have, before any query is read.

    Raises:
        ModelError: They have no such width, or there are no q-nets.
    """
    if not isinstance(encoder, Hypencoder):
        raise ModelError(
            f"There are no q-nets of width {width}: the model is a bi-encoder, and has no q-nets.",
            hint="Leave the width out, or search with a Hypencoder.",
        )
    narrowed(encoder.weight_to_model_converter, width)


def _query_states(
    encoder: Hypencoder | TextEncoder, rows: Sequence[Sequence[int]], options: EncodingOptions
) -> torch.Tensor:
    """Token states ``[q, t, h]`` for a Hypencoder, query vectors ``[q, d]`` for a bi-encoder."""
    ids = torch.tensor(rows, dtype=torch.long, device=options.device)
    mask = torch.ones_like(ids)
    with options.autocast():
        if isinstance(encoder, Hypencoder):
            states = encoder.token_states(input_ids=ids, attention_mask=mask)
        else:
            states = encoder(input_ids=ids, attention_mask=mask).representation
    return states.float().cpu()
