"""Converters: the architectures of q-nets, shipped and of a user's own."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hypencli.errors import ModelError, did_you_mean
from hypencli.models.qnet import QNet, QNetConverter, Shape, activation, multiply


@dataclass(frozen=True)
class _Block:
    """What one hidden layer does after its matrix product."""

    activation_type: str
    norm: bool
    norm_first: bool
    residual: bool
    dropout: float

    def __call__(self, x: Tensor, matrices: Tensor, vectors: Tensor) -> Tensor:
        """``[q, n, in]`` -> ``[q, n, out]``; matrices ``[q, in, out]``, vectors ``[q, out, 1]``."""
        y = functional.dropout(x, self.dropout) if self.dropout else x
        y = multiply(y, matrices, vectors.transpose(1, 2))
        y = activation(self.activation_type)(y)
        if self.norm and self.norm_first:
            y = functional.layer_norm(y, y.shape[-1:])
        if self.residual:
            y = y + x
        if self.norm and not self.norm_first:
            y = functional.layer_norm(y, y.shape[-1:])
        return y


class RepeatedDenseBlockConverter:
    """The published architecture: dense blocks, then one matrix without bias (paper, section 3.3).

    A block is linear, activation, layer norm (no affine, eps 1e-5) and residual, in this order or
    with the norm last. The block before the output has no residual unless ``do_residual_on_last``.
    Option names are those of published ``converter_kwargs``.

    Args:
        vector_dimensions: Widths from the items' to the output's, ``[d, h, ..., 1]``.
        activation_type: One of :data:`hypencli.models.qnet.ACTIVATIONS`.
        do_dropout: Whether to drop inputs of a block while training.
        dropout_prob: The probability of that.
        do_layer_norm: Whether blocks normalise.
        do_residual: Whether blocks add their input.
        do_residual_on_last: The same for the last block; None means as ``do_residual``.
        layer_norm_before_residual: Whether the norm comes before the residual.

    Raises:
        ModelError: A residual between unequal widths, or options that contradict each other.
            Deviation: the published code fails only when it scores.
    """

    def __init__(
        self,
        vector_dimensions: Sequence[int],
        *,
        activation_type: str = "relu",
        do_dropout: bool = False,
        dropout_prob: float = 0.1,
        do_layer_norm: bool = True,
        do_residual: bool = True,
        do_residual_on_last: bool | None = False,
        layer_norm_before_residual: bool = True,
    ) -> None:
        widths = _checked_widths(vector_dimensions)
        activation(activation_type)
        if do_residual_on_last and not do_residual:
            raise ModelError("do_residual_on_last needs do_residual.")
        last = do_residual if do_residual_on_last is None else do_residual_on_last
        residuals = [do_residual] * (len(widths) - 3) + [last] * (len(widths) > 2)
        self.weight_shapes: list[Shape] = list(itertools.pairwise(widths))
        self.bias_shapes: list[Shape] = [(width, 1) for width in widths[1:-1]]
        _refuse_unequal_residuals(self.weight_shapes, residuals)
        self._dropout = dropout_prob if do_dropout else 0.0
        self._blocks = [
            _Block(activation_type, do_layer_norm, layer_norm_before_residual, residual, 0.0)
            for residual in residuals
        ]

    @property
    def dim(self) -> int:
        """Width of the items, ``d``."""
        return self.weight_shapes[0][0]

    def __call__(self, matrices: list[Tensor], vectors: list[Tensor], is_training: bool) -> QNet:
        """The q-nets of matrices ``[q, in, out]`` and vectors ``[q, out, 1]``."""
        blocks = self._blocks
        if is_training and self._dropout:
            blocks = [replace(block, dropout=self._dropout) for block in blocks]

        def q_nets(items: Tensor) -> Tensor:
            for block, matrix, vector in zip(blocks, matrices[:-1], vectors, strict=True):
                items = block(items, matrix, vector)
            return multiply(items, matrices[-1])

        return q_nets


class WarmStartConverter(nn.Module):
    """A bi-encoder's score plus a gated q-net: ``(W q)·x + gate * qnet(x)``.

    ``W`` starts as a multiple of the identity and the gate small, so that the untrained model ranks
    as its own backbone does, and training departs from there.

    Deviation: not in the paper, whose q-nets are trained from noise on millions of queries. The
    hyper-head's query embeddings start small, so that each attends over the whole query: from the
    published deviation of 10 an embedding looks at one token, and few steps do not undo that.

    Args:
        vector_dimensions: As for :class:`RepeatedDenseBlockConverter`; the output width is 1.
        projection_scale: What multiplies the identity in ``W`` at the start.
        gate_init: The gate at the start.
        query_embedding_std: Deviation of the hyper-head's query embeddings at the start.
        options: Other options of :class:`RepeatedDenseBlockConverter`.

    Raises:
        ModelError: As there, or the q-net has more than one output.
    """

    takes_query_embedding = True

    def __init__(
        self,
        vector_dimensions: Sequence[int],
        *,
        projection_scale: float = 1.0,
        gate_init: float = 0.02,
        query_embedding_std: float = 0.05,
        **options: Any,
    ) -> None:
        super().__init__()
        self._dense = RepeatedDenseBlockConverter(vector_dimensions, **options)
        if self._dense.weight_shapes[-1][1] != 1:
            raise ModelError("The warm-start converter needs q-nets with one output.")
        self.weight_shapes = self._dense.weight_shapes
        self.bias_shapes = self._dense.bias_shapes
        self.query_embedding_std = query_embedding_std
        self.projection = nn.Parameter(projection_scale * torch.eye(self.dim))
        self.gate = nn.Parameter(torch.tensor(float(gate_init)))

    @property
    def dim(self) -> int:
        """Width of the items, ``d``."""
        return self._dense.dim

    def forward(
        self,
        matrices: list[Tensor],
        vectors: list[Tensor],
        is_training: bool,
        *,
        query_embedding: Tensor,
    ) -> QNet:
        """The q-nets ``[q, n, d] -> [q, n, 1]``, given pooled queries ``[q, d]`` too."""
        dense = self._dense(matrices, vectors, is_training)
        direction = functional.linear(query_embedding, self.projection).unsqueeze(-1)
        return lambda items: multiply(items, direction) + self.gate * dense(items)


SHIPPED_CONVERTERS: Mapping[str, type] = {
    "repeated-dense": RepeatedDenseBlockConverter,
    "warm-start": WarmStartConverter,
}
"""Converters by the short names that configurations and recipes use."""

PUBLISHED_CONVERTER = "repeated-dense"


def resolve_converter(
    name: str | None, options: Mapping[str, Any], *, trust_code: bool = False
) -> QNetConverter:
    """The converter of that name, made with those options.

    Args:
        name: A short name of :data:`SHIPPED_CONVERTERS`, a user's own as ``module:Class``, or None
            for the published one.
        options: Keyword arguments of its constructor.
        trust_code: Whether a ``module:Class`` may be imported, which runs its code.

    Raises:
        ModelError: It is not there, not trusted, not a converter, or refuses the options.
    """
    made_by = _converter_class(name or PUBLISHED_CONVERTER, trust_code=trust_code)
    try:
        converter = made_by(**options)
    except TypeError as error:
        raise ModelError(
            f"Converter {name or PUBLISHED_CONVERTER!r} refuses {dict(options)}: {error}."
        ) from error
    if not isinstance(converter, QNetConverter):
        raise ModelError(
            f"{name!r} is not a converter: it needs weight_shapes, bias_shapes and "
            "__call__(matrices, vectors, is_training).",
            hint="See docs/converters.md.",
        )
    return converter


def _converter_class(name: str, *, trust_code: bool) -> type:
    if name in SHIPPED_CONVERTERS:
        return SHIPPED_CONVERTERS[name]
    module_name, _, class_name = name.partition(":")
    if not class_name:
        raise ModelError(
            f"Unknown converter {name!r}.",
            hint=f"{did_you_mean(name, SHIPPED_CONVERTERS)} One of your own is module:Class.",
        )
    if not trust_code:
        raise ModelError(
            f"The model names a converter of its own, {name!r}: using it runs that module's code.",
            hint="Load it with trust_code=True (--trust-code) if you trust that code.",
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"Converter {name!r} cannot be imported: {error}.",
            hint="Install its package, or add its folder to PYTHONPATH.",
        ) from error
    if not isinstance(found, type):
        raise ModelError(f"Converter {name!r} is not a class.")
    return found


def _checked_widths(vector_dimensions: Sequence[int]) -> list[int]:
    widths = [int(width) for width in vector_dimensions]
    if len(widths) < 2 or min(widths) < 1:
        raise ModelError(
            f"vector_dimensions {widths} is not a q-net: expected at least the width of the items "
            "and of the output, all positive."
        )
    return widths


def _refuse_unequal_residuals(shapes: Sequence[Shape], residuals: Sequence[bool]) -> None:
    for i, ((inputs, outputs), residual) in enumerate(zip(shapes, residuals, strict=False)):
        if residual and inputs != outputs:
            raise ModelError(
                f"Layer {i} of the q-net is {inputs} to {outputs}: a residual needs equal widths.",
                hint="Set do_residual to false, or make the inner vector_dimensions equal.",
            )
