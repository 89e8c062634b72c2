"""The published q-net architecture: dense blocks with layer norm and residuals.

- A block has a linear layer, activation, layer norm and residual; the norm may come last.
- Layer norms have no weights (eps 1e-5); the last layer is a matrix without a bias.
- The block before the last matrix has no residual, unless ``do_residual_on_last``.
- Dropout applies to the input of a block, in training only.

A residual needs equal widths, so a hidden layer must have no residual if its width differs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from hypencli.errors import ModelError
from hypencli.models.qnets.batch import activation, multiply
from hypencli.models.qnets.packed import PrepackedLinear, can_prepack
from hypencli.models.qnets.protocols import RowNet, Shape
from hypencli.models.qnets.quantised import QuantisedLinear, can_quantise, summed, widened


@dataclass(frozen=True)
class _Block:
    """One hidden layer: dropout, linear layer, activation, layer norm and residual."""

    activation_type: str
    norm: bool
    norm_first: bool
    residual: bool
    dropout: float

    def __call__(self, x: Tensor, matrices: Tensor, vectors: Tensor) -> Tensor:
        """Map ``x [q, n, in]`` to ``[q, n, out]``, by ``[q, in, out]`` and ``[q, out, 1]``."""
        y = functional.dropout(x, self.dropout) if self.dropout else x  # [q, n, in]
        y = multiply(y, matrices, vectors.transpose(1, 2))  # [q, n, out], bias [q, 1, out]
        y = activation(self.activation_type)(y)  # [q, n, out]
        return self._joined(x, y)  # [q, n, out]

    def prepacked(self, matrix: Tensor, vector: Tensor, dtype: torch.dtype) -> RowNet:
        """Return the block of one query, ``[n, in] -> [n, out]``, without gradients or dropout."""
        # The fused ReLU turns NaN into 0. With a residual, a row still keeps its NaN.
        relu = self.activation_type == "relu" and self.residual
        linear = PrepackedLinear(matrix, vector[:, 0], dtype=dtype, relu=relu)
        activated = activation(self.activation_type)

        def block(x: Tensor) -> Tensor:
            y = linear(x)
            return self._joined(x, y if relu else activated(y), Tensor.add_)

        return block

    def quantised(self, matrix: Tensor, vector: Tensor, like: Tensor) -> RowNet:
        """Return the block of one query in int8, for float32 rows ``[n, in] -> [n, out]``.

        ``like`` ``[m, in]`` are typical rows. An output is valid until this thread calls a block
        again.
        """
        relu = self.activation_type == "relu"
        linear = QuantisedLinear(matrix, vector[:, 0], like=like, relu=relu)
        activated = activation(self.activation_type)

        def block(x: Tensor) -> Tensor:
            y = linear(x)
            return widened(self._joined(x, y if relu else activated(y), summed))

        return block

    def _joined(
        self, x: Tensor, y: Tensor, add: Callable[[Tensor, Tensor], Tensor] = torch.add
    ) -> Tensor:
        """Apply layer norm and residual; ``add(y, items)`` may write into either."""
        if self.norm and self.norm_first:
            y = functional.layer_norm(y, y.shape[-1:])
        if self.residual:
            # A nested first block may be narrower than the items: add their first columns.
            y = add(y, x[..., : y.shape[-1]])
        if self.norm and not self.norm_first:
            y = functional.layer_norm(y, y.shape[-1:])
        return y


class RepeatedDenseBlockConverter:
    """The published architecture: dense blocks, then one matrix without bias (paper, section 3.3).

    A block has a linear layer, activation, layer norm (no affine, eps 1e-5) and residual, in this
    order or with the norm last. The block before the output has no residual unless
    ``do_residual_on_last``.
    Option names are those of published ``converter_kwargs``.

    Args:
        vector_dimensions: Widths from the items to the output, ``[d, h, ..., 1]``.
        activation_type: One of :data:`hypencli.models.qnets.batch.ACTIVATIONS`.
        do_dropout: Whether to apply dropout to the input of a block in training.
        dropout_prob: The probability of dropout.
        do_layer_norm: Whether blocks normalise.
        do_residual: Whether blocks add their input.
        do_residual_on_last: Whether the last block adds its input; None means ``do_residual``.
        layer_norm_before_residual: Whether the norm comes before the residual.

    Raises:
        ModelError: A residual joins unequal widths, or options contradict each other.
            Deviation: the published code fails only when it scores.

    Examples:
        >>> converter = RepeatedDenseBlockConverter([768, 768, 768, 1])  # two hidden layers
        >>> converter.weight_shapes
        [(768, 768), (768, 768), (768, 1)]
        >>> converter.bias_shapes
        [(768, 1), (768, 1)]
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

    @property
    def passes_items_on(self) -> bool:
        """Whether the input of the last matrix is the item plus the outputs of the blocks."""
        return all(
            block.residual and (block.norm_first or not block.norm) for block in self._blocks
        )

    def __call__(
        self, matrices: list[Tensor], vectors: list[Tensor], is_training: bool
    ) -> DenseNets:
        """Make q-nets of matrices ``[q, in, out]`` and vectors ``[q, out, 1]``."""
        blocks = self._blocks
        if is_training and self._dropout:
            blocks = [replace(block, dropout=self._dropout) for block in blocks]
        return DenseNets(blocks, matrices, vectors)


@dataclass(frozen=True)
class DenseNets:
    """Q-nets of dense blocks and a last matrix.

    Attributes:
        blocks: One for each hidden layer.
        matrices: ``[q, in, out]``, one for each layer.
        vectors: ``[q, out, 1]``, one for each hidden layer.
    """

    blocks: Sequence[_Block]
    matrices: Sequence[Tensor]
    vectors: Sequence[Tensor]

    def __call__(self, items: Tensor) -> Tensor:
        """Return outputs ``[q, n, out]`` of items ``[q, n, d]``."""
        for block, matrix, vector in zip(
            self.blocks, self.matrices[:-1], self.vectors, strict=True
        ):
            items = block(items, matrix, vector)  # [q, n, in] -> [q, n, out]
        return multiply(items, self.matrices[-1])  # [q, n, 1]

    def prepared(self, dtype: torch.dtype, calibration: Tensor | None = None) -> RowNet | None:
        """Prepare the q-net of the only query, with prepacked weights or in int8, or return None.

        In int8, a row that is not finite, or is far longer than all calibration rows ``[m, d]``,
        scores NaN.
        """
        if dtype == torch.int8:
            return None if calibration is None else self._quantised(calibration)
        last = self.matrices[-1]
        if not can_prepack(dtype, last.device) or not self._can_be_prepared():
            return None
        layers = [
            block.prepacked(matrix[0], vector[0], dtype) for block, matrix, vector in self._each
        ]
        layers.append(PrepackedLinear(last[0], dtype=dtype))
        return _chain(layers)

    def _quantised(self, like: Tensor) -> RowNet | None:
        last = self.matrices[-1]
        if not can_quantise(last.device) or not self.blocks or not self._can_be_prepared():
            return None
        layers: list[RowNet] = []
        items = like.float().unsqueeze(0)
        for block, matrix, vector in self._each:
            if not _moderate(items):
                return None
            layers.append(block.quantised(matrix[0], vector[0], items[0]))
            items = block(items, matrix.float(), vector.float())
        layers.append(PrepackedLinear(last[0], dtype=torch.float32))
        longest = float(torch.linalg.vector_norm(like.float(), dim=1).max())
        return _within(_FAR * longest, _chain(layers))

    @property
    def _each(self) -> Iterable[tuple[_Block, Tensor, Tensor]]:
        return zip(self.blocks, self.matrices[:-1], self.vectors, strict=True)

    def _can_be_prepared(self) -> bool:
        """Return whether there is one query, no dropout, and no weight that is too large."""
        if len(self.matrices[-1]) != 1 or any(block.dropout for block in self.blocks):
            return False
        return all(_moderate(each) for each in (*self.matrices, *self.vectors))


_LARGEST = 1e15
"""Largest norm of prepacked weights: beyond it, a sum could overflow, and a NaN be lost."""

_FAR = 2.0
"""Largest length of a row in int8, as a multiple of the longest calibration row. Most values of a
longer row would be clipped."""


def _chain(layers: Sequence[RowNet]) -> RowNet:
    def q_net(rows: Tensor) -> Tensor:
        for layer in layers:
            rows = layer(rows)
        return rows

    return q_net


def _within(length: float, net: RowNet) -> RowNet:
    """Limit a net to rows up to a length; longer ones, and ones that are not finite, score NaN."""

    def q_net(rows: Tensor) -> Tensor:
        far = torch.linalg.vector_norm(rows, dim=1, keepdim=True).le(length).logical_not()
        return net(rows).masked_fill_(far, torch.nan)

    return q_net


def _moderate(weights: Tensor) -> bool:
    return bool(torch.linalg.vector_norm(weights.detach()) <= _LARGEST)


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
