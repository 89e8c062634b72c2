"""How fast this machine scores with a q-net, in an arithmetic: which one a scan takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from hypencli.models.qnet import PreparedQNet, QNetBatch
from hypencli.models.repeated_dense import RepeatedDenseBlockConverter

_LAYERS = 2
_SECONDS = 0.1


def documents_per_second(dim: int, width: int, dtype: torch.dtype, *, rows: int) -> float:
    """Documents a second, on one CPU thread at best, through a q-net of two layers.

    With all that a layer is made of: beside its matrix product there are norm and residual, and
    items that are brought to the arithmetic; of narrow layers these are most of the work.

    Args:
        dim: Width of the documents' vectors.
        width: Width of the layers.
        dtype: float32, bfloat16 or int8.
        rows: Documents scored at once.

    Returns:
        0 where the machine has no layout for that arithmetic.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        drawn = torch.Generator().manual_seed(0)
        items = torch.randn((rows, dim), generator=drawn)
        net = _prepared(_q_net(dim, width, drawn), dtype, items)
        if net is None:
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


def _prepared(net: QNetBatch, dtype: torch.dtype, items: torch.Tensor) -> PreparedQNet | None:
    if dtype == torch.int8:
        return net.quantised(items)
    prepared = net.prepared(dtype)
    return prepared if isinstance(prepared, PreparedQNet) else None


def _least_seconds(score: Callable[[], object]) -> float:
    score()
    least, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < _SECONDS:
        started = time.perf_counter()
        score()
        least = min(least, time.perf_counter() - started)
    return least
