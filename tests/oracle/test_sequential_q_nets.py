"""Q-nets against ``nn.Sequential``: one ordinary network a query, from the same weights."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.registry import RepeatedDenseBlockConverter

ACTIVATIONS = {
    "relu": nn.ReLU(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "gelu": nn.GELU(),
    "leaky_relu": nn.LeakyReLU(),
}


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.inner(x)
        return out


def sequential(nets: QNetBatch, query: int, options: dict[str, Any]) -> nn.Sequential:
    layers: list[nn.Module] = []
    hidden = len(nets.vectors)
    for i, matrix in enumerate(nets.matrices):
        linear = nn.Linear(*matrix.shape[1:], bias=i < hidden)
        linear.weight.data = matrix[query].T
        if i == hidden:
            layers.append(linear)
            break
        linear.bias.data = nets.vectors[i][query, :, 0]
        norm = nn.LayerNorm(matrix.shape[2], elementwise_affine=False)
        norms, first = options["do_layer_norm"], options["layer_norm_before_residual"]
        block = nn.Sequential(linear, ACTIVATIONS[options["activation_type"]])
        block = nn.Sequential(block, norm) if norms and first else block
        last_without = i == hidden - 1 and not options["do_residual_on_last"]
        block = Residual(block) if options["do_residual"] and not last_without else block
        layers.append(nn.Sequential(block, norm) if norms and not first else block)
    return nn.Sequential(*layers)


@st.composite
def cases(draw: st.DrawFn) -> tuple[QNetBatch, torch.Tensor, dict[str, Any]]:
    residual = draw(st.booleans())
    on_last = draw(st.booleans()) and residual
    depth = draw(st.integers(0, 3))
    width = draw(st.integers(1, 7))
    inner = [width if residual else draw(st.integers(1, 7)) for _ in range(depth)]
    if residual and not on_last and inner:
        inner[-1] = draw(st.integers(1, 7))
    options: dict[str, Any] = {
        "activation_type": draw(st.sampled_from(sorted(ACTIVATIONS))),
        "do_layer_norm": draw(st.booleans()),
        "do_residual": residual,
        "do_residual_on_last": on_last,
        "layer_norm_before_residual": draw(st.booleans()),
    }
    converter = RepeatedDenseBlockConverter([width, *inner, draw(st.integers(1, 3))], **options)
    queries = draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))

    def made(shape: tuple[int, int]) -> torch.Tensor:
        return torch.randn(queries, *shape, generator=generator, dtype=torch.float64)

    nets = QNetBatch(
        tuple(made(shape) for shape in converter.weight_shapes),
        tuple(made(shape) for shape in converter.bias_shapes),
        converter,
    )
    items = made((draw(st.integers(0, 5)), width))
    return nets, items, options


@given(cases())
def test_a_batch_of_q_nets_is_one_ordinary_network_a_query(
    case: tuple[QNetBatch, torch.Tensor, dict[str, Any]],
) -> None:
    nets, items, options = case
    with torch.no_grad():
        expected = torch.stack([sequential(nets, i, options)(items[i]) for i in range(len(nets))])
        assert torch.allclose(nets(items), expected, atol=1e-9)
        shared = torch.stack([sequential(nets, i, options)(items[0]) for i in range(len(nets))])
        assert torch.allclose(nets(items[:1]), shared, atol=1e-9)
