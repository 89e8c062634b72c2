"""Protocols of q-net architectures: converters, and q-nets that can be prepared.

Axes: ``q`` queries, ``n`` items, ``d`` embedding width; a matrix goes from ``in`` to ``out``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from hypencli.errors import ModelError

QNet = Callable[[Tensor], Tensor]
"""A batch of q-nets as a function: items ``[q, n, d]`` -> outputs ``[q, n, out]``."""

RowNet = Callable[[Tensor], Tensor]
"""One q-net as a function of rows: ``[n, d]`` -> ``[n, out]``."""

Shape = tuple[int, int]


@runtime_checkable
class QNetConverter(Protocol):
    """An architecture: it turns generated matrices and vectors into q-nets.

    ``weight_shapes`` and ``bias_shapes`` set the shapes that the hypernetwork generates, as pairs
    ``(in, out)``. A converter may be an ``nn.Module``; its parameters are then trained and saved
    with the model. One that sets ``takes_query_embedding = True`` is called with one more keyword
    argument, ``query_embedding``: the pooled query ``[q, d]``.
    """

    @property
    def weight_shapes(self) -> Sequence[Shape]:
        """Shapes ``(in, out)`` of the matrices to generate."""
        ...

    @property
    def bias_shapes(self) -> Sequence[Shape]:
        """Shapes ``(in, out)`` of the vectors to generate; a plain bias of ``h`` is ``(h, 1)``."""
        ...

    def __call__(self, matrices: list[Tensor], vectors: list[Tensor], is_training: bool) -> QNet:
        """Make q-nets of matrices ``[q, in, out]`` and vectors ``[q, in, out]``."""
        ...


@runtime_checkable
class PreparableQNets(Protocol):
    """Q-nets that can be prepared; a converter may return them instead of a plain function.

    Search evaluates a q-net on thousands of blocks. ``prepared`` does all work that is needed once
    only, such as conversion to another dtype, prepacking or quantisation of weights.
    """

    def __call__(self, items: Tensor, /) -> Tensor:
        """Return outputs ``[q, n, out]`` of items ``[q, n, d]``."""
        ...

    def prepared(self, dtype: torch.dtype, calibration: Tensor | None, /) -> RowNet | None:
        """Prepare the q-net of the only query for a dtype, without gradients.

        In a float dtype, the output of a row must be bit-equal for any other rows, and for any
        number of rows that is a multiple of 64.

        Args:
            dtype: float32, bfloat16, or int8: approximate scores of float32 rows, for a first pass.
            calibration: Typical rows ``[m, d]`` for int8; their activations give the ranges of
                the whole numbers. A row that is not finite must score NaN.

        Returns:
            The prepared q-net; None for several queries, or if this machine has no such method.
        """
        ...


@runtime_checkable
class NestedQNetConverter(QNetConverter, Protocol):
    """An architecture with narrower q-nets in the first rows and columns of weights."""

    @property
    def widths(self) -> tuple[int, ...]:
        """The hidden widths, rising; the last is the full one."""
        ...

    def narrow(self, width: int) -> QNetConverter:
        """Return the architecture at a width, with as many matrices and vectors, none larger."""
        ...


def narrowed(converter: QNetConverter, width: int) -> QNetConverter:
    """Return the architecture at one of its widths.

    Raises:
        ModelError: The architecture does not have this width.
    """
    if not isinstance(converter, NestedQNetConverter):
        raise ModelError(
            f"There are no q-nets of width {width}: the model's q-nets have one width only.",
            hint="Leave the width out. Nested widths come with the converter matryoshka, see "
            "docs/q-nets.md.",
        )
    if width not in converter.widths:
        raise ModelError(
            f"There are no q-nets of width {width} in this model.",
            hint=f"Its widths: {', '.join(map(str, converter.widths))}.",
        )
    return converter.narrow(width)
