"""The hypernetwork: reads a query and writes the weights of its q-net (paper, section 3.2).

- A transformer reads the query; its token states are all that the head sees.
- For each matrix and vector of the q-net there is one attention: learned embeddings, one a row of
  the written matrix, attend over the query's tokens.
- What they gather passes ReLU, layer norm (no weights) and a linear layer; a learned base, the same
  for every query, is added.
- Nested widths: only the rows and columns that a narrower q-net takes are written.

Mind:

- Attention is scaled by the number of embeddings (``out``), not by their width, as published: a
  vector or a last matrix with one output is not scaled at all.
- The head computes ``[q, out, in]`` and gives the transposed view ``[q, in, out]``.
- A head does not fill its parameters in: :meth:`Hypencoder.initialize_head` or a checkpoint does.
- :meth:`Hypencoder.write_each` gives bit-equal q-nets for every batch size;
  :meth:`Hypencoder.generate` does not, for products of several queries round otherwise.

Axes: ``q`` queries, ``t`` tokens, ``h`` width of the token states; a generated matrix goes from
``in`` to ``out``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
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
"""Names of the hyper-head's parameters: what is neither backbone nor converter."""

_BASE_STD = math.sqrt(2 / 768)
_QUERY_STD = 10.0
_PROJECTION_STD = 1 / 768**2


class Hypencoder(TokenEncoder):
    """Queries to q-nets.

    For each matrix and vector of the q-net, learned embeddings attend over the query's tokens; the
    result, normalised and projected, is added to a learned base.

    Args:
        config: Its settings.
        transformer: A backbone of ``transformers``.
        trust_code: Whether a converter named ``module:Class`` may be imported.

    Raises:
        ModelError: The backbone has another width than the settings say, the converter cannot be
            used, or it takes a query vector and the settings make none.

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
        """Settings from a ``config.json`` of its own, or of a dual encoder's query side."""
        return hypencoder_config(raw.get("query_encoder_kwargs", raw), extras_of(raw, "query"))

    @classmethod
    def assemble(
        cls, settings: Any, backbones: Mapping[str, nn.Module], *, trust_code: bool = False
    ) -> Self:
        """An encoder around the backbone ``encoder``; the hyper-head is yet to be filled in."""
        return cls(settings, backbones["encoder"], trust_code=trust_code)

    def _make_head(self) -> None:
        """Makes the head's parameters without filling them in."""
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
        """Fills the hyper-head in as the published code does, from a generator of the caller's.

        A converter with a ``query_embedding_std`` of its own has its query embeddings drawn so.
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
        # Of keys and values, published code zeroes the biases of the matrices' part only.
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
        """The q-nets of ``q`` queries as ``representation``, a :class:`QNetBatch`.

        Args:
            input_ids: ``[q, t]``.
            attention_mask: ``[q, t]``, 1 for tokens and 0 for padding; None means no padding.
            token_states: ``[q, t, h]`` made before, instead of ``input_ids``.
            width: Hidden width of the q-nets, of a converter that nests several: the q-nets are
                those of ``representation.narrow(width)``, up to rounding, for less work. None is
                the full one.

        Raises:
            UsageError: Both ids and token states are given, or neither.
            ModelError: The q-nets have no such width.
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
        """Matrices ``[q, in, out]`` and vectors ``[q, in, out]`` for token states ``[q, t, h]``.

        With a width, nothing is computed that q-nets of that width do not take.
        """
        padding = (attention_mask == 0).unsqueeze(1)  # [q, 1, t]
        written = tuple(head.write(token_states, padding) for head in self._heads(width))
        n_matrices = len(self.weight_shapes)
        return written[:n_matrices], written[n_matrices:]

    @torch.no_grad()
    def write_each(
        self, token_states: Sequence[Tensor], *, width: int | None = None
    ) -> list[QNetBatch]:
        """The q-nets of some queries, one a query, for inference.

        Every product is that of one query, so that its q-net is bit-equal whatever is written
        beside it. What is written for all queries in turn is one head at a time: its weights are
        read from memory once, not once a query.

        Args:
            token_states: ``[t, h]`` of each query, without padding.
            width: As for ``forward``.

        Raises:
            ModelError: The q-nets have no such width.
        """
        by_head = [[head.write_one(each) for each in token_states] for head in self._heads(width)]
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
        """How many numbers a q-net has.

        Raises:
            ModelError: The q-nets have no such width.
        """
        converter = self._architecture(width)
        return sum(into * out for into, out in (*converter.weight_shapes, *converter.bias_shapes))

    def _heads(self, width: int | None) -> Iterator[_Head]:
        """What writes each matrix, then each vector."""
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
    """What writes one matrix or vector of a q-net.

    Attributes:
        queries: Embeddings ``[1, full out, full in]`` that attend over the query's tokens.
        key: Makes keys ``[q, t, full in]``.
        value: Makes values ``[q, t, full in]``.
        projection: From ``full in`` to ``full in``.
        base: ``[.., full out, full in]``.
        shape: ``(in, out)``: of embeddings, base, and rows of the projection the first are taken.
    """

    queries: Tensor
    key: nn.Module
    value: nn.Module
    projection: nn.Module
    base: Tensor
    shape: Shape

    def write(self, token_states: Tensor, padding: Tensor) -> Tensor:
        """Matrices ``[q, in, out]`` for states ``[q, t, h]``, where padding ``[q, 1, t]`` is True.

        The scale of attention is one over the square root of the number of all embeddings, as
        published: for vectors and for a last layer with one output it is 1, whatever the width.
        """
        into, out = self.shape
        keys, values = self.key(token_states), self.value(token_states)  # [q, t, full in] each
        # One product a query, in the published order, though one for all would be somewhat faster:
        # it keeps gradients equal to published ones in the last digits.
        expanded = self.queries[0, :out].expand(keys.shape[0], -1, -1)  # [q, out, full in]
        scores = torch.einsum("qoi,qti->qot", expanded, keys)  # [q, out, t]
        scores = (scores / self._scale).masked_fill(padding, -math.inf)  # [q, out, t]
        attention = scores.softmax(dim=-1)  # [q, out, t], sums to 1 over tokens
        context = torch.einsum("qot,qti->qoi", attention, values)  # [q, out, full in]
        written = self._projected(functional.relu(context))  # [q, out, in]
        written = written + self.base[..., :out, :into]  # [q, out, in]
        return written.transpose(1, 2)  # [q, in, out]

    def write_one(self, token_states: Tensor) -> Tensor:
        """A matrix ``[1, in, out]`` for the states ``[t, h]`` of one query, without gradients."""
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
        """Of contexts ``[.., out, full in]``, normalised; ``[.., out, in]``."""
        into = self.shape[0]
        normed = functional.layer_norm(context, context.shape[-1:])  # [.., out, full in]
        if into < context.shape[-1] and isinstance(self.projection, nn.Linear):
            weight, bias = self.projection.weight[:into], self.projection.bias[:into]
            return functional.linear(normed, weight, bias)  # [.., out, in]
        projected: Tensor = self.projection(normed)  # [.., out, full in]
        return projected[..., :into]  # [.., out, in]


def _linears(layers: nn.ModuleList) -> list[nn.Linear]:
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


def _empty(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape))
