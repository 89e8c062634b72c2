"""Linear layers in int8 for a first look at every document: weights packed once, ranges measured.

Items become whole numbers of 0 to 255 over the range that a few documents span, weights such of
-127 to 127 over the largest of each output. The library behind torch (oneDNN) multiplies them at
twice the rate of bfloat16 and gives bfloat16, bias and ReLU in the same pass. It must be asked for
by name: torch has no public function for tensors that are plain bytes.
"""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor

from hypencli.models.qnets.packed import can_prepack

_LEVELS, _WEIGHT_LEVELS = 255, 127

_WHOLE = 1.5 * 2.0**23
"""Added to a float32 number of few digits, it leaves the nearest whole number in the last bits."""

_PREPACKED_FOR_ROWS = 512
"""Rows that the layout is chosen for; it holds for any number."""


def can_quantise(device: torch.device) -> bool:
    """Whether this machine multiplies bytes without loss, and packs such weights."""
    named = ("qlinear_pointwise", "qlinear_prepack")
    if not all(hasattr(torch.ops.onednn, name) for name in named):
        return False
    # Without these instructions, sums of two products may not fit where they are kept.
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    return can_prepack(torch.float32, device) and supported is not None and bool(supported())


class QuantisedLinear:
    """One linear layer: ``activation(x W + b)`` of float32 rows, to bfloat16.

    What lies outside the range becomes its end, and NaN some number in it: who calls must see to
    rows that are not finite.

    Args:
        matrix: ``W``, ``[in, out]``.
        bias: ``b``, ``[out]``.
        like: Rows ``[m, in]`` that span the range of what is to come.
        relu: Whether the activation is ReLU; else there is none.
    """

    def __init__(self, matrix: Tensor, bias: Tensor, *, like: Tensor, relu: bool) -> None:
        rows = matrix.detach().t().float()
        self._weight_scales = rows.abs().amax(dim=1).div_(_WEIGHT_LEVELS).clamp_(min=1e-30)
        levels = rows.mul(self._weight_scales.reciprocal().unsqueeze(1)).round_()
        weight = levels.to(torch.int8).contiguous()
        self._weight: Tensor = torch.ops.onednn.qlinear_prepack(weight, [_PREPACKED_FOR_ROWS, 1])
        self._weight_zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._bias = bias.detach().float().contiguous()
        least, most = min(0.0, float(like.min())), max(0.0, float(like.max()))
        self._scale = max(most - least, 1e-30) / _LEVELS
        self._zero = round(-least / self._scale)
        self._shift = torch.tensor(_WHOLE + self._zero)
        self._activation = "relu" if relu else "none"

    def __call__(self, rows: Tensor) -> Tensor:
        """``[n, in]`` -> ``[n, out]``, a new tensor."""
        return self.of_bytes(self.as_bytes(rows))

    def of_bytes(self, levels: Tensor) -> Tensor:
        """What the layer makes of rows that are bytes already."""
        multiply: Any = torch.ops.onednn.qlinear_pointwise
        output: Tensor = multiply(
            levels,
            self._scale,
            self._zero,
            self._weight,
            self._weight_scales,
            self._weight_zeros,
            self._bias,
            1.0,
            0,
            torch.bfloat16,
            self._activation,
            [],
            "",
        )
        return output

    def as_bytes(self, rows: Tensor) -> Tensor:
        """Rows ``[n, in]`` as whole numbers of 0 to 255, nearest, in a buffer of this thread."""
        shifted = _buffer("shifted", rows.shape, torch.float32)
        torch.add(self._shift, rows, alpha=1 / self._scale, out=shifted)
        levels = shifted.clamp_(_WHOLE, _WHOLE + _LEVELS).view(torch.int32)
        return _buffer("bytes", rows.shape, torch.uint8).copy_(levels)


def widened(rows: Tensor) -> Tensor:
    """Rows ``[n, d]`` in float32, in a buffer of this thread unless they are that already."""
    if rows.dtype == torch.float32:
        return rows
    return _buffer("items", rows.shape, torch.float32).copy_(rows)


def summed(rows: Tensor, items: Tensor) -> Tensor:
    """``items + rows`` ``[n, d]`` in float32, in a buffer of this thread, where items may be.

    Two passes, each of one dtype, take less than one of two.
    """
    wide = _buffer("shifted", rows.shape, torch.float32).copy_(rows)
    return torch.add(items, wide, out=_buffer("items", rows.shape, torch.float32))


_BUFFERS = threading.local()


def _buffer(name: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """A buffer of this thread, kept for the next block: new memory costs more than what it holds.

    It is good until it is asked for again, so for one layer at a time.
    """
    kept: Tensor | None = getattr(_BUFFERS, name, None)
    if kept is None or kept.numel() < shape.numel():
        with torch.inference_mode(False):  # else it could not be written to outside of that mode
            kept = torch.empty(shape.numel(), dtype=dtype)
        setattr(_BUFFERS, name, kept)
    return kept[: shape.numel()].view(shape)
