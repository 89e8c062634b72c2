"""Linear layers in int8 for a first pass: prepacked weights, and ranges from calibration.

Items become whole numbers from 0 to 255 over the range of a few documents. Weights become whole
numbers from -127 to 127, scaled by the largest weight of each output. The library behind torch
(oneDNN) multiplies them at twice the rate of bfloat16, and adds bias and ReLU and returns bfloat16
in the same pass. Its operators are called by name, since torch has no public function for tensors
of plain bytes.
"""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor

from hypencli.models.qnets.packed import can_prepack

_LEVELS, _WEIGHT_LEVELS = 255, 127

_WHOLE = 1.5 * 2.0**23
"""A constant that rounds: added to a small float32, it leaves the integer in the last bits."""

_PREPACKED_FOR_ROWS = 512
"""Number of rows for which the layout is optimised; it works for any number."""


def can_quantise(device: torch.device) -> bool:
    """Return whether this machine multiplies bytes without overflow and packs such weights."""
    named = ("qlinear_pointwise", "qlinear_prepack")
    if not all(hasattr(torch.ops.onednn, name) for name in named):
        return False
    # Without these instructions, a sum of two products may overflow its 16 bits.
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    return can_prepack(torch.float32, device) and supported is not None and bool(supported())


class QuantisedLinear:
    """One linear layer: ``activation(x W + b)`` of float32 rows, in bfloat16.

    Values outside the range are clipped to it, and NaN becomes some number in it. So the caller
    must handle rows that are not finite.

    Args:
        matrix: ``W``, ``[in, out]``.
        bias: ``b``, ``[out]``.
        like: Typical rows ``[m, in]``, which give the range of the input.
        relu: Whether the activation is ReLU; otherwise there is none.
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
        """Apply the layer to rows ``[n, in]``; return a new tensor ``[n, out]``."""
        return self.of_bytes(self.as_bytes(rows))

    def of_bytes(self, levels: Tensor) -> Tensor:
        """Apply the layer to rows ``[n, in]`` of bytes; return a new tensor ``[n, out]``."""
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
        """Round rows ``[n, in]`` to numbers from 0 to 255, in a buffer of this thread."""
        shifted = _buffer("shifted", rows.shape, torch.float32)
        torch.add(self._shift, rows, alpha=1 / self._scale, out=shifted)
        levels = shifted.clamp_(_WHOLE, _WHOLE + _LEVELS).view(torch.int32)
        return _buffer("bytes", rows.shape, torch.uint8).copy_(levels)


def widened(rows: Tensor) -> Tensor:
    """Return rows ``[n, d]`` in float32: unchanged, or in a buffer of this thread."""
    if rows.dtype == torch.float32:
        return rows
    return _buffer("items", rows.shape, torch.float32).copy_(rows)


def summed(rows: Tensor, items: Tensor) -> Tensor:
    """Return ``items + rows``, ``[n, d]`` in float32, in a buffer of this thread.

    ``items`` may be in that buffer. Two passes of one dtype each are faster than one pass of two.
    """
    wide = _buffer("shifted", rows.shape, torch.float32).copy_(rows)
    return torch.add(items, wide, out=_buffer("items", rows.shape, torch.float32))


_BUFFERS = threading.local()


def _buffer(name: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Return a buffer of this thread, kept for the next block: allocation is slow.

    Its content is valid until the next request, so for one layer at a time.
    """
    kept: Tensor | None = getattr(_BUFFERS, name, None)
    if kept is None or kept.numel() < shape.numel():
        with torch.inference_mode(False):  # writable outside that mode too
            kept = torch.empty(shape.numel(), dtype=dtype)
        setattr(_BUFFERS, name, kept)
    return kept[: shape.numel()].view(shape)
