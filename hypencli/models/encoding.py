"""Encoding of texts to vectors and q-nets: tokenised once, batched by length, in order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hypencli.errors import ModelError
from hypencli.models.checkpoints.backbone import refuse_unknown_tokens
from hypencli.models.checkpoints.tokenizer_bounds import refusing_panics
from hypencli.models.encoder import TextEncoder
from hypencli.models.hypernet import Hypencoder
from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.protocols import narrowed

TOKEN_BUDGET = {"cpu": 2_048, "cuda": 131_072, "mps": 16_384}
"""Tokens of an automatic batch with padding, by device type; CPU caches need few."""

QUERY_BATCH = 32
"""How many queries of one length are encoded at once."""

Q_NET_BYTES, MOST_Q_NETS = 1 << 30, 256
"""Most bytes of the q-nets of a batch of queries, and most queries of a batch."""


@dataclass(frozen=True, slots=True)
class EncodingOptions:
    """Options of encoding.

    Attributes:
        max_length: Most tokens of a text, with special tokens; longer texts are cut.
        batch_size: Texts of a batch; None fills batches up to a token budget of the device.
        dtype: Dtype of the encoder: float32, or autocast to bfloat16 or float16.
        device: Device of the encoder.
    """

    max_length: int
    batch_size: int | None = None
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the autocast context for the encoder."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


class Tokenised(NamedTuple):
    """Token ids of each text, and how many texts were cut."""

    ids: list[list[int]]
    n_cut: int


def tokenise(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Return the token ids of each text, with special tokens, cut to ``max_length``.

    Raises:
        ModelError: The tokenizer is damaged.
    """
    return tokenise_counting(tokenizer, texts, max_length).ids


def tokenise_counting(tokenizer: Any, texts: Sequence[str], max_length: int) -> Tokenised:
    """Tokenise texts as :func:`tokenise` does, and count those that were cut.

    Raises:
        ModelError: The tokenizer is damaged.
    """
    if not texts:
        return Tokenised([], 0)
    listed = list(texts)
    options = {"padding": False, "return_attention_mask": False}
    with refusing_panics("The tokenizer of the model cannot read the texts"):
        encoded = tokenizer(listed, truncation=True, max_length=max_length, **options)
        ids: list[list[int]] = encoded["input_ids"]
        if encoded.encodings is not None:
            return Tokenised(ids, sum(bool(one.overflowing) for one in encoded.encodings))
        # A tokenizer in Python does not keep what it cuts off, so full texts are tokenised again.
        full = [text for text, row in zip(listed, ids, strict=True) if len(row) >= max_length]
        whole = tokenizer(full, truncation=False, **options)["input_ids"] if full else []
    return Tokenised(ids, sum(len(row) > max_length for row in whole))


def pad(
    rows: Sequence[Sequence[int] | npt.NDArray[np.int32]], pad_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad token ids on the right; return ids ``[n, t]`` and attention mask ``[n, t]``."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[i, : len(row)] = 1
    return ids, mask


def largest_of(ids: torch.Tensor) -> int:
    """Return the largest of token ids ``[n, t]`` on the CPU; -1 if there are none."""
    return int(ids.max()) if ids.numel() else -1


@torch.inference_mode()
def encode_passages(
    encoder: TextEncoder,
    tokenizer: Any,
    texts: Sequence[str],
    options: EncodingOptions,
    on_encoded: Callable[[list[int]], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Encode passages; return vectors ``[n, d]`` in the order of ``texts``.

    Texts are encoded longest first, so a batch has little padding, and an encoder that does not fit
    in memory fails on the first batch. With a pooling that depends on padding (``mean-unmasked``),
    a batch has texts of one length only, so that each vector depends on its text alone.

    Deviation: the published code encodes in input order, padded to the longest of the batch.
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
        """Return the number of texts."""
        ...

    def __getitem__(self, text: int, /) -> Sequence[int] | npt.NDArray[np.int32]:
        """Return the token ids ``[t]`` of one text."""
        ...


@torch.inference_mode()
def encode_tokens(
    encoder: TextEncoder,
    tokens: TokenRows,
    pad_id: int,
    options: EncodingOptions,
    *,
    out: npt.NDArray[np.generic],
    on_encoded: Callable[[list[int]], None] | None = None,
    places: Sequence[int] | None = None,
    done: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Encode tokenised passages; see :func:`encode_passages`.

    Args:
        encoder: The passage encoder.
        tokens: Token ids of the passages.
        pad_id: Id of the padding token.
        options: Options of encoding.
        out: Takes the vectors ``[n, d]``.
        on_encoded: Called with the rows of each batch, when their vectors are in ``out``.
        places: The passages to encode; None encodes all.
        done: Which rows ``[n]`` of ``out`` have their vectors already. The batches are the same
            without these rows, so that the other vectors are the same too.
    """
    lengths = [len(tokens[i]) for i in range(len(tokens))]
    order = sorted(range(len(tokens)) if places is None else places, key=lambda i: (-lengths[i], i))
    same_length = encoder.pooling == "mean-unmasked"
    in_dtype = encoder if options.dtype == torch.float32 else with_cast_linears(encoder, options)
    for planned in _batches(order, lengths, options, same_length=same_length):
        batch = planned if done is None else [i for i in planned if not done[i]]
        if not batch:
            continue
        ids, mask = pad([tokens[i] for i in batch], pad_id)
        refuse_unknown_tokens(encoder.transformer, largest_of(ids))
        with options.autocast():
            output = in_dtype(
                input_ids=ids.to(options.device), attention_mask=mask.to(options.device)
            )
        out[batch] = output.representation.float().cpu().numpy()
        if on_encoded is not None:
            on_encoded(batch)


def with_cast_linears(encoder: TextEncoder, options: EncodingOptions) -> TextEncoder:
    """Return an encoder with cast weights of linear layers, which shares all other tensors.

    Autocast would cast these weights for every batch, with equal results.
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
    """Cut ``order``, longest first, into batches."""
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
    """Encoded queries, which give q-nets or query vectors for any range of them.

    The transformer has read all queries, in batches without padding that depend on the query set
    alone. Q-nets are large (14 MB each at 6 layers of 768), so they are written on demand, with
    matrix products of one query each. So a q-net is bit-equal for every batch size of a search.

    Args:
        encoder: The query encoder.
        states: A Hypencoder's token states ``[t, h]``, or a bi-encoder's query vector ``[d]``.
        options: Options of their encoding; q-nets are written on its device.
        width: Hidden width of the q-nets; None means the full width.
        n_cut: How many queries were longer than the maximal length.
    """

    def __init__(
        self,
        encoder: Hypencoder | TextEncoder,
        states: list[torch.Tensor],
        options: EncodingOptions,
        width: int | None = None,
        n_cut: int = 0,
    ) -> None:
        self.n_cut = n_cut
        self._encoder = encoder
        self._width = width
        self._states = states
        self._options = options

    @classmethod
    def joined(cls, parts: Sequence[QueryStates]) -> QueryStates:
        """Return queries that were encoded apart as one set, each with the bits that it has.

        Args:
            parts: At least one set. All are of one encoder, with the same options and width.
        """
        first = parts[0]
        states = [state for part in parts for state in part._states]
        n_cut = sum(part.n_cut for part in parts)
        return cls(first._encoder, states, first._options, first._width, n_cut)

    def __len__(self) -> int:
        return len(self._states)

    @property
    def device(self) -> torch.device:
        """The device of q-nets and vectors."""
        return self._options.device

    @property
    def has_q_nets(self) -> bool:
        """Whether the queries become q-nets; otherwise they are vectors."""
        return isinstance(self._encoder, Hypencoder)

    @torch.no_grad()  # not inference mode: a search may compute gradients of a q-net
    def q_nets(
        self, start: int = 0, stop: int | None = None, dtype: torch.dtype | None = None
    ) -> list[QNetBatch]:
        """Return one q-net a query, for the queries from ``start`` to ``stop``."""
        if not isinstance(self._encoder, Hypencoder):
            raise ModelError("There are no q-nets: the model is a bi-encoder.")
        states = [each.to(self._options.device) for each in self._states[start:stop]]
        nets = self._encoder.write_each(states, width=self._width)
        return [net if dtype in (None, net.dtype) else net.to(dtype=dtype) for net in nets]

    def batches(self, size: int | None = None) -> Iterator[range]:
        """Yield ranges of the queries that are searched together.

        Args:
            size: Queries of a batch; None means as many as fit into 1 GiB of q-nets, at most 256,
                and all queries at once if they are vectors.
        """
        if size is None and self.has_q_nets:
            size = max(1, min(MOST_Q_NETS, Q_NET_BYTES // max(1, self.q_net_bytes)))
        places = range(len(self))
        size = size or max(1, len(places))
        return (places[start : start + size] for start in range(0, len(places), size))

    @property
    def q_net_bytes(self) -> int:
        """The bytes of one q-net; 0 if the queries are vectors."""
        if not isinstance(self._encoder, Hypencoder):
            return 0
        per_weight = next(self._encoder.parameters()).element_size()
        return per_weight * self._encoder.q_net_weights(self._width)

    def vectors(self, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Return query vectors ``[q, d]`` of a bi-encoder, from ``start`` to ``stop``."""
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
    """Encode queries by the transformer, the first step to q-nets or query vectors.

    Args:
        encoder: The query encoder.
        tokenizer: Its tokenizer.
        texts: The queries.
        options: Options of encoding.
        width: Hidden width of the q-nets of a model with nested ones; None means the full width.

    Raises:
        ModelError: The model has no q-nets of this width.
    """
    if width is not None:
        refuse_width(encoder, width)
    tokens, n_cut = tokenise_counting(tokenizer, texts, options.max_length)
    order = sorted(range(len(tokens)), key=lambda i: (len(tokens[i]), texts[i]))
    return encode_query_tokens(encoder, tokens, options, order=order, width=width, n_cut=n_cut)


@torch.no_grad()  # not inference mode: a search may compute gradients
def encode_query_tokens(
    encoder: Hypencoder | TextEncoder,
    tokens: TokenRows,
    options: EncodingOptions,
    *,
    order: Sequence[int] | None = None,
    width: int | None = None,
    n_cut: int = 0,
) -> QueryStates:
    """Encode tokenised queries in ``order``, short to long; see :func:`encode_queries`."""
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
    return QueryStates(encoder, states, options, width, n_cut)


def refuse_width(encoder: Hypencoder | TextEncoder, width: int) -> None:
    """Refuse a width that the q-nets of the encoder do not have, before reading a query.

    Raises:
        ModelError: The encoder has no q-nets, or none of this width.
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
    """Return token states ``[q, t, h]`` of a Hypencoder, or query vectors ``[q, d]``."""
    ids = torch.tensor(rows, dtype=torch.long)
    refuse_unknown_tokens(encoder.transformer, largest_of(ids))
    ids = ids.to(options.device)
    mask = torch.ones_like(ids)
    with options.autocast():
        if isinstance(encoder, Hypencoder):
            states = encoder.token_states(input_ids=ids, attention_mask=mask)
        else:
            states = encoder(input_ids=ids, attention_mask=mask).representation
    return states.float().cpu()
