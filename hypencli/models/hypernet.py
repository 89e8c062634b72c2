"""The hypernetwork: reads a query and writes the weights of its q-net (paper, section 3.2).

- A transformer reads the query; its token states are the input of the head.
- For each matrix and vector of the q-net there is one attention: learned embeddings, one a row of
  the written matrix, attend over the query's tokens.
- Its output passes ReLU, layer norm (no weights) and a linear layer; then a learned base, equal for
  all queries, is added.
- For a narrower nested q-net, only its rows and columns are written.

Details:

- Attention is scaled by the number of embeddings (``out``), not by their width, as published. So
  it is not scaled for a vector or for a last matrix with one output.
- The head computes ``[q, out, in]`` and returns the transposed view ``[q, in, out]``.
- The parameters of a new head are uninitialised: call :meth:`Hypencoder.initialize_head`, or load a
  checkpoint.
- :meth:`Hypencoder.write_each` gives bit-equal q-nets for every batch size;
  :meth:`Hypencoder.generate` does not, since products of several queries round differently.

Axes: ``q`` queries, ``t`` tokens, ``h`` width of the token states; a generated matrix goes from
``in`` to ``out``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, starmap
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from hypencli.errors import ModelError
from hypencli.models.checkpoints.config import HypencoderConfig, Json, hypencoder_config
from hypencli.models.checkpoints.pretrained import extras_of
from hypencli.models.encoder import (
    EncoderOutput,
    TokenEncoder,
    empty_linear,
    pool,
    refuse_other_width,
)
from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.protocols import QNetConverter, Shape, narrowed
from hypencli.models.qnets.registry import resolve_converter
from hypencli.workers import workers

HEAD_KEYS = (
    "hyper_base_matrices",
    "hyper_base_vectors",
    "weight_query_embeddings",
    "bias_query_embeddings",
    "weight_hyper_projection",
    "bias_hyper_projection",
    "key_projections",
    "value_projections",
)
"""Names of the parameters of the hyper-head: neither backbone nor converter."""

_BASE_STD = math.sqrt(2 / 768)
_QUERY_STD = 10.0
_PROJECTION_STD = 1 / 768**2


class Hypencoder(TokenEncoder):
    """The hypernetwork: an encoder of queries to q-nets.

    For each matrix and vector of the q-net, learned embeddings attend over the query's tokens; the
    output, normalised and projected, is added to a learned base.

    Args:
        config: Settings of the encoder.
        transformer: A backbone of ``transformers``.
        trust_code: Whether a converter named ``module:Class`` may be imported.

    Raises:
        ModelError: The width of the backbone differs from the settings, the converter cannot be
            used, or the converter takes a query vector and the settings have none.

    Examples:
        The folder ``model`` holds a trained Hypencoder of width 32.

        >>> from transformers import AutoTokenizer
        >>> hypencoder = Hypencoder.from_pretrained("model").eval()
        >>> tokenizer = AutoTokenizer.from_pretrained("model")
        >>> tokens = tokenizer(["what is a river"], return_tensors="pt")
        >>> with torch.inference_mode():
        ...     output = hypencoder(tokens["input_ids"], tokens["attention_mask"])
        ...     scores = output.representation(torch.rand(1, 3, 32))
        >>> scores.shape  # one query, three items
        torch.Size([1, 3, 1])
    """

    loaded_from: ClassVar[Mapping[str, str]] = {
        "Hypencoder": "",
        "HypencoderDualEncoder": "query_encoder.",
    }
    settings: HypencoderConfig

    def __init__(
        self, config: HypencoderConfig, transformer: nn.Module, *, trust_code: bool = False
    ) -> None:
        super().__init__(transformer, frozen=config.freeze_transformer)
        refuse_other_width(
            self.width, expected=config.base_encoder_output_dim, what="base_encoder_output_dim"
        )
        self.settings = config
        self.weight_to_model_converter = resolve_converter(
            config.converter, config.converter_kwargs, trust_code=trust_code
        )
        takes_embedding = getattr(self.weight_to_model_converter, "takes_query_embedding", False)
        if takes_embedding and config.embedding_representation is None:
            raise ModelError(
                f"The converter {config.converter!r} takes a query vector: "
                "embedding_representation must name its pooling."
            )
        self.weight_shapes = list(self.weight_to_model_converter.weight_shapes)
        self.bias_shapes = list(self.weight_to_model_converter.bias_shapes)
        self._make_head()

    @classmethod
    def read_settings(cls, raw: Json) -> HypencoderConfig:
        """Return settings from its own ``config.json``, or from that of a dual encoder."""
        return hypencoder_config(raw.get("query_encoder_kwargs", raw), extras_of(raw, "query"))

    @classmethod
    def assemble(
        cls, settings: Any, backbones: Mapping[str, nn.Module], *, trust_code: bool = False
    ) -> Self:
        """Make an encoder around the backbone ``encoder``, with an uninitialised head."""
        return cls(settings, backbones["encoder"], trust_code=trust_code)

    def _make_head(self) -> None:
        """Make the parameters of the head, uninitialised."""
        weights, biases, states = self.weight_shapes, self.bias_shapes, self.width
        generated = [*weights, *biases]
        self.hyper_base_matrices = nn.ParameterList(_empty(1, out, into) for into, out in weights)
        self.hyper_base_vectors = nn.ParameterList(_empty(out, into) for into, out in biases)
        self.weight_query_embeddings = nn.ParameterList(
            _empty(1, out, into) for into, out in weights
        )
        self.bias_query_embeddings = nn.ParameterList(_empty(1, out, into) for into, out in biases)
        self.weight_hyper_projection = nn.ModuleList(
            empty_linear(into, into) for into, _ in weights
        )
        self.bias_hyper_projection = nn.ModuleList(empty_linear(into, into) for into, _ in biases)
        self.key_projections = nn.ModuleList(empty_linear(states, into) for into, _ in generated)
        self.value_projections = nn.ModuleList(empty_linear(states, into) for into, _ in generated)

    @torch.no_grad()
    def initialize_head(self, generator: torch.Generator) -> None:
        """Initialise the hyper-head like the published code, from the generator of the caller.

        A converter can set the deviation of the query embeddings by ``query_embedding_std``.
        """
        query_std = getattr(self.weight_to_model_converter, "query_embedding_std", _QUERY_STD)
        keys, values = _linears(self.key_projections), _linears(self.value_projections)
        for layer in (*_linears(self.bias_hyper_projection), *keys, *values):
            bound = 1 / math.sqrt(layer.in_features)
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
        for base in self.hyper_base_matrices:
            base.normal_(std=_BASE_STD, generator=generator)
        for vector in self.hyper_base_vectors:
            vector.zero_()
        for query in (*self.weight_query_embeddings, *self.bias_query_embeddings):
            query.normal_(std=query_std, generator=generator)
        # Published code zeroes the biases of keys and values for matrices only.
        for layers in zip(_linears(self.weight_hyper_projection), keys, values, strict=False):
            layers[0].weight.normal_(std=_PROJECTION_STD, generator=generator)
            for layer in layers:
                layer.bias.zero_()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        token_states: Tensor | None = None,
        width: int | None = None,
    ) -> EncoderOutput:
        """Write q-nets of ``q`` queries; return them as ``representation``, a :class:`QNetBatch`.

        Args:
            input_ids: ``[q, t]``.
            attention_mask: ``[q, t]``, 1 for tokens and 0 for padding; None means no padding.
            token_states: Token states ``[q, t, h]``, instead of ``input_ids``.
            width: Hidden width of the q-nets, for a converter with nested widths. The q-nets equal
                those of ``representation.narrow(width)`` up to rounding, for less work. None means
                the full width.

        Raises:
            UsageError: Both ids and token states are passed, or neither.
            ModelError: The q-nets do not have this width.
        """
        states, mask = self._states_and_mask(input_ids, attention_mask, token_states)  # [q, t, h]
        matrices, vectors = self.generate(states, mask, width=width)  # [q, in, out] each
        embedding = self._query_embedding(states, mask)  # [q, h], or None
        q_nets = QNetBatch(
            matrices=matrices,
            vectors=vectors,
            converter=self._architecture(width),
            query_embedding=embedding,
            is_training=self.training,
        )
        return EncoderOutput(q_nets, embedding_representation=embedding)

    def generate(
        self, token_states: Tensor, attention_mask: Tensor, *, width: int | None = None
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return matrices and vectors, all ``[q, in, out]``, for token states ``[q, t, h]``.

        With a width, only the weights of q-nets of that width are computed.
        """
        padding = (attention_mask == 0).unsqueeze(1)  # [q, 1, t]
        written = tuple(head.write(token_states, padding) for head in self._heads(width))
        n_matrices = len(self.weight_shapes)
        return written[:n_matrices], written[n_matrices:]

    @torch.no_grad()
    def write_each(
        self, token_states: Sequence[Tensor], *, width: int | None = None
    ) -> list[QNetBatch]:
        """Write the q-nets of queries, one a query, for inference.

        Every matrix product is that of one query, so a q-net is bit-equal for every set of other
        queries. One head after another writes for all queries, so the weights of a head are read
        from memory once, not once a query. On a CPU, each product is computed by one thread.

        Args:
            token_states: Token states ``[t, h]`` of each query, without padding.
            width: Hidden width of the q-nets; None means the full width.

        Raises:
            ModelError: The q-nets do not have this width.
        """
        if not token_states:
            return []
        heads = list(self._heads(width))
        with workers(token_states[0].device) as crew:
            parts = _parts(token_states, crew.threads)
            written_parts = crew.map(
                _write_part, [(head, part) for head in heads for part in parts]
            )
        by_head = [
            list(chain.from_iterable(written_parts[start : start + len(parts)]))
            for start in range(0, len(written_parts), len(parts))
        ]
        n_matrices = len(self.weight_shapes)
        q_nets = []
        for states, written in zip(token_states, zip(*by_head, strict=True), strict=True):
            batch = states.unsqueeze(0)
            q_nets.append(
                QNetBatch(
                    matrices=written[:n_matrices],
                    vectors=written[n_matrices:],
                    converter=self._architecture(width),
                    query_embedding=self._query_embedding(batch, batch.new_ones(batch.shape[:2])),
                    is_training=self.training,
                )
            )
        return q_nets

    def q_net_weights(self, width: int | None = None) -> int:
        """Return the number of weights of a q-net.

        Raises:
            ModelError: The q-nets do not have this width.
        """
        converter = self._architecture(width)
        return sum(into * out for into, out in (*converter.weight_shapes, *converter.bias_shapes))

    def _heads(self, width: int | None) -> Iterator[_Head]:
        """Yield the head of each matrix, then of each vector."""
        converter = self._architecture(width)
        return starmap(
            _Head,
            zip(
                (*self.weight_query_embeddings, *self.bias_query_embeddings),
                self.key_projections,
                self.value_projections,
                (*self.weight_hyper_projection, *self.bias_hyper_projection),
                (*self.hyper_base_matrices, *self.hyper_base_vectors),
                (*converter.weight_shapes, *converter.bias_shapes),
                strict=True,
            ),
        )

    def _architecture(self, width: int | None) -> QNetConverter:
        converter: QNetConverter = self.weight_to_model_converter
        return converter if width is None else narrowed(converter, width)

    def _query_embedding(self, states: Tensor, mask: Tensor) -> Tensor | None:
        pooling = self.settings.embedding_representation
        if pooling is None:
            return None
        embedding = pool(states, mask, pooling=pooling)
        return functional.normalize(embedding, dim=-1) if self.settings.normalize else embedding


@dataclass(frozen=True)
class _Head:
    """The part of the hyper-head that writes one matrix or vector of a q-net.

    Attributes:
        queries: Embeddings ``[1, full out, full in]`` that attend over the query's tokens.
        key: Makes keys ``[q, t, full in]``.
        value: Makes values ``[q, t, full in]``.
        projection: From ``full in`` to ``full in``.
        base: ``[.., full out, full in]``.
        shape: ``(in, out)`` of the written matrix. The first ``out`` embeddings, and the first
            rows and columns of base and projection, are used.
    """

    queries: Tensor
    key: nn.Module
    value: nn.Module
    projection: nn.Module
    base: Tensor
    shape: Shape

    def write(self, token_states: Tensor, padding: Tensor) -> Tensor:
        """Write matrices ``[q, in, out]`` for states ``[q, t, h]``; ``padding`` is ``[q, 1, t]``.

        ``padding`` is True at padding tokens. The scale of attention is one over the square root of
        the number of all embeddings, as published. For vectors and for a last layer with one output
        it is 1 at every width.
        """
        into, out = self.shape
        keys, values = self.key(token_states), self.value(token_states)  # [q, t, full in] each
        # One product a query, in the published order, keeps gradients equal to published ones in
        # the last digits. One product for all queries would be somewhat faster.
        expanded = self.queries[0, :out].expand(keys.shape[0], -1, -1)  # [q, out, full in]
        scores = torch.einsum("qoi,qti->qot", expanded, keys)  # [q, out, t]
        scores = (scores / self._scale).masked_fill(padding, -math.inf)  # [q, out, t]
        attention = scores.softmax(dim=-1)  # [q, out, t], sums to 1 over tokens
        context = torch.einsum("qot,qti->qoi", attention, values)  # [q, out, full in]
        written = self._projected(functional.relu(context))  # [q, out, in]
        written = written + self.base[..., :out, :into]  # [q, out, in]
        return written.transpose(1, 2)  # [q, in, out]

    def write_one(self, token_states: Tensor) -> Tensor:
        """Write a matrix ``[1, in, out]`` for states ``[t, h]`` of a query, without gradients."""
        into, out = self.shape
        scores = self.queries[0, :out] @ self.key(token_states).T  # [out, t]
        attention = scores.div_(self._scale).softmax(dim=-1)  # [out, t], sums to 1 over tokens
        context = (attention @ self.value(token_states)).relu_()  # [out, full in]
        base = self.base.view(self.base.shape[-2:])[:out, :into]  # [out, in]
        return self._projected(context).add_(base).T.unsqueeze(0)  # [1, in, out]

    @property
    def _scale(self) -> float:
        return math.sqrt(self.queries.shape[1])

    def _projected(self, context: Tensor) -> Tensor:
        """Normalise contexts ``[.., out, full in]`` and project them to ``[.., out, in]``."""
        into = self.shape[0]
        normed = functional.layer_norm(context, context.shape[-1:])  # [.., out, full in]
        if into < context.shape[-1] and isinstance(self.projection, nn.Linear):
            weight, bias = self.projection.weight[:into], self.projection.bias[:into]
            return functional.linear(normed, weight, bias)  # [.., out, in]
        projected: Tensor = self.projection(normed)  # [.., out, full in]
        return projected[..., :into]  # [.., out, in]


@torch.no_grad()  # gradients are off for each thread of its own
def _write_part(task: tuple[_Head, Sequence[Tensor]]) -> list[Tensor]:
    """Write the matrices of one head for some queries."""
    head, token_states = task
    return [head.write_one(each) for each in token_states]


def _parts(queries: Sequence[Tensor], count: int) -> list[Sequence[Tensor]]:
    """Cut queries into at most ``count`` parts of nearly equal size, none empty."""
    size = -(-len(queries) // count)
    return [queries[start : start + size] for start in range(0, len(queries), size)]


def _linears(layers: nn.ModuleList) -> list[nn.Linear]:
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


def _empty(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape))
