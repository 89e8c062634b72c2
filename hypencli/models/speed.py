"""Measurement of scoring speed by dtype on this machine, to select that of the first pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from hypencli.models.qnets.batch import PreparedQNet, QNetBatch
from hypencli.models.qnets.repeated_dense import RepeatedDenseBlockConverter

_LAYERS = 2
_SECONDS = 0.1


def documents_per_second(dim: int, width: int, dtype: torch.dtype, *, rows: int) -> float:
    """Measure the documents a second of a q-net of two layers, at best, on one CPU thread.

    The time includes all parts of a layer: the matrix product, the norm, the residual, and the
    conversion of items to the dtype. In narrow layers the product is the smaller part.

    Args:
        dim: Width of the document vectors.
        width: Width of the layers.
        dtype: float32, bfloat16 or int8.
        rows: Documents scored at once.

    Returns:
        Documents a second; 0 if the machine has no prepacked layout for the dtype.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        drawn = torch.Generator().manual_seed(0)
        items = torch.randn((rows, dim), generator=drawn)
        net = _q_net(dim, width, drawn).prepared(dtype, items)
        if not isinstance(net, PreparedQNet):
            return 0.0
        taken = torch.float32 if dtype == torch.int8 else dtype
        with torch.inference_mode():
            return rows / _least_seconds(lambda: net(items.to(taken).unsqueeze(0)))
    finally:
        torch.set_num_threads(threads)


def _q_net(dim: int, width: int, drawn: torch.Generator) -> QNetBatch:
    converter = RepeatedDenseBlockConverter(
        [dim, *[width] * _LAYERS, 1], do_residual=dim == width, do_residual_on_last=None
    )
    matrices, vectors = (
        tuple(torch.randn((1, *shape), generator=drawn) / shape[0] ** 0.5 for shape in shapes)
        for shapes in (converter.weight_shapes, converter.bias_shapes)
    )
    return QNetBatch(matrices, vectors, converter)


def _least_seconds(score: Callable[[], object]) -> float:
    score()
    least, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < _SECONDS:
        started = time.perf_counter()
        score()
        least = min(least, time.perf_counter() - started)
    return least


_WORTH = 1.2
"""Least speed ratio of bfloat16 to float32 that justifies its lower precision."""

_ROWS, _WIDTH, _ROUNDS = 1_024, 768, 7


@cache
def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 if its matrix products are clearly faster on this machine, else float32.

    On a CPU, both are timed alternately for about 0.1 s, once a process.
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
