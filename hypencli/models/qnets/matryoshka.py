"""Nested q-nets: narrower q-nets that are the first rows and columns of the generated weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypencli.errors import ModelError
from hypencli.models.qnets.repeated_dense import RepeatedDenseBlockConverter


class MatryoshkaConverter(RepeatedDenseBlockConverter):
    """The published architecture in several hidden widths, nested in each other.

    The hypernetwork writes the full q-net. At width ``w`` the first matrix keeps ``w`` columns,
    the inner ones ``w`` rows and columns, the last ``w`` rows, and biases ``w`` entries. Items keep
    all ``d`` columns, and layer norms are over ``w`` values. After "The Matryoshka Hypencoder"
    (Alkawaas and MacAvaney, SIGIR 2026).

    Deviation: if blocks have a residual, the first block adds the first ``w`` columns of the item.
    So the full width is bit-equal to the published architecture, and training can start from a
    published checkpoint. The code of that paper computes residuals but does not use them, at every
    width; ``do_residual = false`` gives its q-nets.

    Args:
        vector_dimensions: Widths ``[d, h, ..., 1]`` from items to output, with equal hidden ones.
        widths: Hidden widths below the full one, rising.
        options: Other options of :class:`RepeatedDenseBlockConverter`.

    Raises:
        ModelError: :class:`RepeatedDenseBlockConverter` refuses the options, there is no hidden
            layer, hidden widths differ, or ``widths`` do not rise or reach the full width.
    """

    def __init__(
        self, vector_dimensions: Sequence[int], *, widths: Sequence[int], **options: Any
    ) -> None:
        super().__init__(vector_dimensions, **options)
        full = _equal_hidden_width([out for _, out in self.weight_shapes[:-1]])
        self._widths = (*_checked_nested(widths, full), full)

    @property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths of the nested q-nets, rising; the last is the full one."""
        return self._widths

    def narrow(self, width: int) -> MatryoshkaConverter:
        """Return the architecture at one of :attr:`widths`, for the first of the weights."""
        narrower = copy.copy(self)
        last = len(self.weight_shapes) - 1
        narrower.weight_shapes = [
            (into if i == 0 else width, out if i == last else width)
            for i, (into, out) in enumerate(self.weight_shapes)
        ]
        narrower.bias_shapes = [(width, 1)] * last
        narrower._widths = self._widths[: self._widths.index(width) + 1]
        return narrower


def _equal_hidden_width(hidden: Sequence[int]) -> int:
    if len(set(hidden)) != 1:
        raise ModelError(
            f"Nested widths need one or more hidden layers of one width; the q-net has {hidden}.",
            hint="Make the inner vector_dimensions equal.",
        )
    return hidden[0]


def _checked_nested(widths: Sequence[int], full: int) -> tuple[int, ...]:
    rising = sorted({width for width in widths if isinstance(width, int) and 0 < width < full})
    if not rising or rising != list(widths):
        raise ModelError(
            f"The nested widths {list(widths)} do not fit hidden layers of width {full}: expected "
            f"one or more whole numbers from 1 to {full - 1}, rising.",
        )
    return tuple(rising)
