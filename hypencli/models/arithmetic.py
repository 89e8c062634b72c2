"""Which arithmetic is fast on a device: measured where it cannot be known."""

from __future__ import annotations

import time
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

_WORTH = 1.2
"""How many times faster bfloat16 must be, for what it costs in exactness."""

_ROWS, _WIDTH, _ROUNDS = 1_024, 768, 7


@cache
def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where its matrix products are clearly faster on this machine, else float32.

    On a CPU both are timed, in turn, for some 0.1 s, once a process.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type != "cpu":
        return torch.float32
    seconds = dict.fromkeys((torch.float32, torch.bfloat16), torch.inf)
    operands = {dtype: _operands(dtype) for dtype in seconds}
    for _ in range(_ROUNDS):
        for dtype, (items, weights) in operands.items():
            seconds[dtype] = min(seconds[dtype], _seconds(items, weights))
    wins = seconds[torch.float32] >= _WORTH * seconds[torch.bfloat16]
    return torch.bfloat16 if wins else torch.float32


def _operands(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return torch.ones(_ROWS, _WIDTH, dtype=dtype), torch.ones(_WIDTH, _WIDTH, dtype=dtype)


def _seconds(items: Tensor, weights: Tensor) -> float:
    started = time.perf_counter()
    functional.linear(items, weights)
    return time.perf_counter() - started
