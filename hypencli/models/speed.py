"""How fast this machine multiplies by packed weights, in a dtype: which arithmetic a scan takes."""

from __future__ import annotations

import time

import torch

from hypencli.models.packed import PackedLinear, can_pack

_ROWS = 512
_SECONDS = 0.08


def layers_per_second(inputs: int, outputs: int, dtype: torch.dtype) -> float:
    """Rows a second through one layer ``[inputs, outputs]`` on one CPU thread, at best.

    0 where the machine has no packed weights of that dtype.
    """
    if not can_pack(dtype, torch.device("cpu")):
        return 0.0
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn((_ROWS, inputs), generator=generator).to(dtype)
    layer = PackedLinear(torch.randn((inputs, outputs), generator=generator), dtype=dtype)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return _ROWS / _least_seconds(layer, rows)
    finally:
        torch.set_num_threads(threads)


def _least_seconds(layer: PackedLinear, rows: torch.Tensor) -> float:
    layer(rows)
    least, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < _SECONDS:
        started = time.perf_counter()
        layer(rows)
        least = min(least, time.perf_counter() - started)
    return least
