"""Encoding of texts to vectors and q-nets: tokenised once, batched by length, in order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hypencli.errors import ModelError
from hypencli.models.checkpoints.backbone import refuse_unknown_tokens
from hypencli.models.checkpoints.tokenizer_bounds import refusing_panics
from hypencli.models.encoder import TextEncoder, TokenEncoder
from hypencli.models.hypernet import Hypencoder
from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.protocols import narrowed
from hypencli.workers import ALONE, Workers, workers

TOKEN_BUDGET = {"cpu": 1_024, "cuda": 131_072, "mps": 16_384}
"""Tokens of an automatic batch with padding, by device type; on a CPU, each thread has its own."""

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
    order = _longest_first(tokens, range(len(tokens)) if places is None else places)
    in_dtype = encoder if options.dtype == torch.float32 else with_cast_linears(encoder, options)

    def read(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            vectors: torch.Tensor = in_dtype(input_ids=ids, attention_mask=mask).representation
            return vectors

    batches = Batches(
        tokens, pad_id, options, order, same_length=encoder.pooling == "mean-unmasked"
    )
    with closing(batches.read(encoder.transformer, read, done)) as all_read:
        for batch, vectors in all_read:
            out[batch] = vectors.numpy()
            if on_encoded is not None:
                on_encoded(batch)


def _longest_first(tokens: TokenRows, places: Sequence[int]) -> list[int]:
    """The places of texts, longest first; those of one length in their order."""
    return sorted(places, key=lambda i: -len(tokens[i]))


Read: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""A function from token ids and attention mask, both ``[n, t]``, to a tensor ``[n, ...]``."""


@dataclass(frozen=True, slots=True)
class Batches:
    """Batches of texts of similar length, padded to the longest of each.

    On a CPU, each thread reads batches of its own. So no thread waits for another, and a core that
    another program takes slows down one batch, not all. Fewer batches than threads are read one by
    one, by all threads together.

    Attributes:
        tokens: Token ids of the texts.
        pad_id: Id of the padding token.
        options: Options of encoding.
        order: The texts to read, longest first.
        same_length: Whether a batch has texts of one length only, and no padding.
    """

    tokens: TokenRows
    pad_id: int
    options: EncodingOptions
    order: Sequence[int]
    same_length: bool = False

    def planned(self) -> Iterator[list[int]]:
        """Yield the texts of each batch."""
        budget = TOKEN_BUDGET.get(self.options.device.type, TOKEN_BUDGET["cpu"])
        batch: list[int] = []
        width = 0
        for i in self.order:
            if batch:
                limit = self.options.batch_size or max(1, budget // max(1, width))
                other = self.same_length and len(self.tokens[i]) != width
                if len(batch) >= limit or other:
                    yield batch
                    batch = []
            if not batch:
                width = len(self.tokens[i])
            batch.append(i)
        if batch:
            yield batch

    def read(
        self,
        transformer: nn.Module,
        read: Read,
        done: npt.NDArray[np.bool_] | None = None,
    ) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Yield the texts of each batch, and what ``read`` gives for them, in float32 on the CPU.

        Args:
            transformer: The backbone, whose vocabulary must have all tokens.
            read: Called in several threads; it must set the gradient mode itself.
            done: Which texts ``[n]`` are left out. The batches are the same without them.

        Raises:
            ModelError: A token is not in the vocabulary.
        """
        planned = list(self.planned())
        # What is done does not count here: one batch is computed in the same way in any case.
        with batch_workers(len(planned), self.options.device) as crew:
            left = planned if done is None else [[i for i in one if not done[i]] for one in planned]

            def read_one(batch: list[int]) -> tuple[list[int], torch.Tensor]:
                ids, mask = pad([self.tokens[i] for i in batch], self.pad_id)
                refuse_unknown_tokens(transformer, largest_of(ids))
                with self.options.autocast():
                    output = read(ids.to(self.options.device), mask.to(self.options.device))
                return batch, output.float().cpu()

            with closing(crew.stream(read_one, [one for one in left if one])) as all_read:
                yield from all_read


def batch_workers(n_batches: int, device: torch.device) -> AbstractContextManager[Workers]:
    """Return the threads for some batches; the calling thread alone if there are fewer batches."""
    return workers(device) if n_batches >= torch.get_num_threads() else nullcontext(ALONE)


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


class QueryStates:
    """Encoded queries, which give q-nets or query vectors for any range of them.

    The transformer has read all queries, in batches that depend on the query set alone; the states
    of padding are left out. Q-nets are large (14 MB each at 6 layers of 768), so they are written
    on demand, with matrix products of one query each. So a q-net is bit-equal for every batch size
    of a search.

    Args:
        encoder: The query encoder.
        states: A Hypencoder's token states ``[t, h]``, or a bi-encoder's query vector ``[d]``.
        options: Options of their encoding; q-nets are written on its device.
        width: Hidden width of the q-nets; None means the full width.
        n_cut: How many queries were longer than the maximal length, of all that were encoded
            together.
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

    @classmethod
    def from_arrays(
        cls,
        encoder: Hypencoder | TextEncoder,
        states: npt.NDArray[np.float32],
        offsets: npt.NDArray[np.int64],
        options: EncodingOptions,
        *,
        width: int | None = None,
        n_cut: int = 0,
    ) -> QueryStates:
        """Return the queries of arrays that :meth:`to_arrays` made with the same encoder.

        Raises:
            ValueError: The arrays are not those of queries that this encoder has read.
        """
        if states.dtype != np.float32 or states.ndim != 2 or states.shape[1] != encoder.width:
            raise ValueError(f"states {states.dtype} {list(states.shape)}, width {encoder.width}")
        lengths = np.diff(offsets)
        if offsets.dtype != np.int64 or offsets[0] != 0 or offsets[-1] != len(states):
            raise ValueError(f"the last offset is not {len(states)}")
        is_vector = not isinstance(encoder, Hypencoder)
        if (lengths < 1).any() or (is_vector and (lengths != 1).any()):
            raise ValueError("the offsets do not rise from query to query")
        rows = torch.from_numpy(states)
        each = [rows[start:stop] for start, stop in pairwise(offsets)]
        return cls(encoder, [row[0] if is_vector else row for row in each], options, width, n_cut)

    def to_arrays(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return all states ``[sum of t, h]``, and where each query starts, ``[q + 1]``.

        A query vector is one state.
        """
        rows = [states.reshape(-1, self._encoder.width) for states in self._states]
        offsets = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        return torch.cat(rows).numpy(), offsets

    def select(self, places: Sequence[int]) -> QueryStates:
        """Return some of the queries, in the order of ``places``."""
        states = [self._states[place] for place in places]
        return QueryStates(self._encoder, states, self._options, self._width, self.n_cut)

    @property
    def n_bytes(self) -> int:
        """The bytes of the states."""
        return sum(states.numel() * states.element_size() for states in self._states)

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
    order = sorted(range(len(tokens)), key=lambda i: (-len(tokens[i]), texts[i]))
    pad_id = tokenizer.pad_token_id or 0
    return encode_query_tokens(
        encoder, tokens, pad_id, options, order=order, width=width, n_cut=n_cut
    )


def encode_query_tokens(
    encoder: Hypencoder | TextEncoder,
    tokens: TokenRows,
    pad_id: int,
    options: EncodingOptions,
    *,
    order: Sequence[int] | None = None,
    width: int | None = None,
    n_cut: int = 0,
) -> QueryStates:
    """Encode tokenised queries in ``order``, longest first; see :func:`encode_queries`."""
    states: list[torch.Tensor] = [torch.empty(0)] * len(tokens)
    if order is None:
        order = _longest_first(tokens, range(len(tokens)))
    if isinstance(encoder, Hypencoder):
        for i, of_text in token_states(encoder, tokens, pad_id, options, order):
            states[i] = of_text
    else:
        same_length = encoder.pooling == "mean-unmasked"
        batches = Batches(tokens, pad_id, options, order, same_length=same_length)
        with closing(batches.read(encoder.transformer, partial(_vectors, encoder))) as all_read:
            for batch, vectors in all_read:
                for i, vector in zip(batch, vectors, strict=True):
                    states[i] = vector
    return QueryStates(encoder, states, options, width, n_cut)


def token_states(
    encoder: TokenEncoder,
    tokens: TokenRows,
    pad_id: int,
    options: EncodingOptions,
    order: Sequence[int],
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the place of each text in ``order``, longest first, and its token states ``[t, h]``."""
    batches = Batches(tokens, pad_id, options, order)
    with closing(batches.read(encoder.transformer, partial(_token_states, encoder))) as all_read:
        for batch, states in all_read:
            for i, padded in zip(batch, states, strict=True):
                yield i, padded[: len(tokens[i])]


# Not inference mode in these two: a search may compute gradients of a q-net.
@torch.no_grad()
def _token_states(encoder: TokenEncoder, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return token states ``[n, t, h]``."""
    return encoder.token_states(input_ids=ids, attention_mask=mask)


@torch.no_grad()
def _vectors(encoder: TextEncoder, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return vectors ``[n, d]``."""
    vectors: torch.Tensor = encoder(input_ids=ids, attention_mask=mask).representation
    return vectors


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
