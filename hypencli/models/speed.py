"""Measurement of scoring speed by dtype on this machine, to select that of the first pass."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

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


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return the faster arithmetic of a transformer: bfloat16 where it is native, else float32.

    On a CPU that has instructions for products in bfloat16 (AVX-512 BF16 or AMX), they are about
    twice as fast as those in float32 (docs/benchmarks.md). A CPU without them converts every
    operand, and is several times slower. The answer is that of the machine, not of a measurement,
    so the same command makes the same set however busy the machine is.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type != "cpu":
        return torch.float32
    features = torch.cpu.get_capabilities()
    native = features.get("avx512_bf16", False) or features.get("amx_bf16", False)
    return torch.bfloat16 if native else torch.float32
