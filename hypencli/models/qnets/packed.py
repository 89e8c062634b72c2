"""Linear layers laid out for scoring: weights packed once, the activation in the same pass.

On a CPU the library behind torch (oneDNN) multiplies by packed weights faster than by plain ones,
and adds up every row alike, however many rows there are: a document's score does not depend on its
company. It must be asked for by name; torch has no public function that packs float32 weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_PREPACKED_FOR_ROWS = 1024
"""Rows that the layout is chosen for; it holds for any number."""


def can_prepack(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether this machine multiplies by packed weights in a dtype."""
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
        dtype: Arithmetic; one that :func:`can_pack`.
        relu: Whether the activation is ReLU; else there is none.
    """

    def __init__(
        self, matrix: Tensor, bias: Tensor | None = None, *, dtype: torch.dtype, relu: bool = False
    ) -> None:
        rows = matrix.detach().t().to(dtype).contiguous()
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(rows, _PREPACKED_FOR_ROWS)
        self._bias = None if bias is None else bias.detach().to(dtype).contiguous()
        self._activation = "relu" if relu else "none"

    def __call__(self, rows: Tensor) -> Tensor:
        """``[n, in]`` -> ``[n, out]``, a new tensor."""
        multiply: Any = torch.ops.mkldnn._linear_pointwise
        output: Tensor = multiply(rows, self._weight, self._bias, self._activation, [], "")
        return output
