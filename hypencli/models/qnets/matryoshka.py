"""Nested q-nets: one set of generated weights, and narrower q-nets that are its first columns."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypencli.errors import ModelError
from hypencli.models.qnets.repeated_dense import RepeatedDenseBlockConverter


class MatryoshkaConverter(RepeatedDenseBlockConverter):
    """The published architecture in several hidden widths, each the beginning of the next.

    The hypernetwork writes the full q-net. At width ``w`` its first matrix keeps ``w`` columns, the
    inner ones ``w`` rows and columns, the last ``w`` rows, and biases ``w`` entries; items keep all
    of their ``d`` columns, and layer norms are over ``w``. After "The Matryoshka Hypencoder"
    (Alkawaas and MacAvaney, SIGIR 2026).

    Deviation: where blocks have a residual, that of the first block adds the first ``w`` columns of
    the item. So the full width is the published architecture to the last bit, and a published
    checkpoint can be the start of training. The code published with that paper computes residuals
    and then leaves them out, at every width: ``do_residual = false`` gives its q-nets.

    Args:
        vector_dimensions: As for :class:`RepeatedDenseBlockConverter`; all hidden widths are equal.
        widths: Hidden widths below the full one, rising.
        options: Other options of :class:`RepeatedDenseBlockConverter`.

    Raises:
        ModelError: As there; or there is no hidden layer, hidden widths are not equal, or
            ``widths`` do not rise to below the full one.
    """

    def __init__(
        self, vector_dimensions: Sequence[int], *, widths: Sequence[int], **options: Any
    ) -> None:
        super().__init__(vector_dimensions, **options)
        full = _equal_hidden_width([out for _, out in self.weight_shapes[:-1]])
        self._widths = (*_checked_nested(widths, full), full)

    @property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths that the q-nets can be cut to, rising; the last is the full one."""
        return self._widths

    def narrow(self, width: int) -> MatryoshkaConverter:
        """The architecture at one of :attr:`widths`; its weights are the first of the full ones."""
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
