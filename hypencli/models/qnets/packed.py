"""Linear layers prepared for scoring: prepacked weights, with the activation in the same pass.

On a CPU, the library behind torch (oneDNN) multiplies by prepacked weights faster than by plain
ones. It adds up every row in one order for any number of rows, so a score does not depend on the
other documents. The operators are called by name, since torch has no public function that packs
float32 weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_PREPACKED_FOR_ROWS = 1024
"""Number of rows for which the layout is optimised; it works for any number."""


def can_prepack(dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether this machine multiplies by prepacked weights in a dtype."""
    built_with_it = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if device.type != "cpu" or not built_with_it:
        return False
    named = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")
    if not all(hasattr(torch.ops.mkldnn, name) for name in named):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


class PrepackedLinear:
    """One linear layer: ``activation(x W + b)``.

    Args:
        matrix: ``W``, ``[in, out]``.
        bias: ``b``, ``[out]``, or None.
        dtype: Dtype of the arithmetic, for which :func:`can_prepack` is true.
        relu: Whether the activation is ReLU; otherwise there is none.
    """

    def __init__(
        self, matrix: Tensor, bias: Tensor | None = None, *, dtype: torch.dtype, relu: bool = False
    ) -> None:
        rows = matrix.detach().t().to(dtype).contiguous()
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(rows, _PREPACKED_FOR_ROWS)
        self._bias = None if bias is None else bias.detach().to(dtype).contiguous()
        self._activation = "relu" if relu else "none"

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply the layer to rows ``[n, in]``; return a new tensor ``[n, out]``."""
        multiply: Any = torch.ops.mkldnn._linear_pointwise
        output: Tensor = multiply(rows, self._weight, self._bias, self._activation, [], "")
        return output
