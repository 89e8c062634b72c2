"""What an architecture of q-nets is: the open protocol of converters.

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
    """Turns generated matrices and vectors into q-nets: the open protocol of an architecture.

    ``weight_shapes`` and ``bias_shapes`` tell the hypernetwork what to generate, as pairs
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
        """The q-nets with matrices ``[q, in, out]`` and vectors ``[q, in, out]``."""
        ...


@runtime_checkable
class PreparableQNets(Protocol):
    """What a converter may give instead of a plain function: q-nets that can be prepared.

    Scoring a corpus evaluates a q-net on thousands of blocks. Whatever can be done once, such as
    another dtype, packed weights or whole numbers in place of weights, is done by ``prepared``.
    """

    def __call__(self, items: Tensor, /) -> Tensor:
        """Outputs ``[q, n, out]`` of items ``[q, n, d]``."""
        ...

    def prepared(self, dtype: torch.dtype, calibration: Tensor | None, /) -> RowNet | None:
        """The q-net of the only query in an arithmetic, without gradients.

        In a float dtype, what a row gives must not depend on the other rows, to the last bit, nor
        on how many there are, in multiples of 64.

        Args:
            dtype: float32, bfloat16, or int8: then for a first pass over float32 rows, roughly.
            calibration: Rows ``[m, d]`` such as it will get, for int8: what the layers make of
                them says which ranges the whole numbers span. A row that is not finite must score
                NaN.

        Returns:
            None where there are several queries, or no such way on this machine.
        """
        ...


@runtime_checkable
class NestedQNetConverter(QNetConverter, Protocol):
    """An architecture whose q-nets hold narrower ones in the first rows and columns of weights."""

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths there are, rising; the last is the full one."""
        ...

    def narrow(self, width: int) -> QNetConverter:
        """The architecture at one of the widths: as many matrices and vectors, none larger."""
        ...


def narrowed(converter: QNetConverter, width: int) -> QNetConverter:
    """The architecture at a width below its full one, or at that.

    Raises:
        ModelError: It has no such width.
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
