"""Q-nets laid out for scoring, against the same q-nets as plain functions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypencli.models.qnets.batch import ACTIVATIONS, PreparedQNet, QNetBatch
from hypencli.models.qnets.packed import PrepackedLinear, can_prepack
from hypencli.models.qnets.registry import (
    MatryoshkaConverter,
    RepeatedDenseBlockConverter,
    WarmStartConverter,
)
from tests.models.conftest import q_net, rows

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(
    not can_prepack(torch.float32, CPU), reason="this torch has no packed weights"
)
HALVES = pytest.mark.skipif(
    not can_prepack(torch.bfloat16, CPU), reason="no packed weights in bfloat16"
)


@torch.inference_mode()
def both(net: QNetBatch, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores by the packed and by the plain way."""
    packed = net.prepared(items.dtype)
    assert isinstance(packed, PreparedQNet)
    return packed(items.unsqueeze(0))[0, :, 0], net.to(dtype=items.dtype).score(items)[0]


@settings(max_examples=60)
@given(
    dim=st.integers(1, 40),
    hidden=st.integers(1, 40),
    layers=st.integers(0, 4),
    activation=st.sampled_from(list(ACTIVATIONS)),
    norm=st.booleans(),
    norm_first=st.booleans(),
    residual=st.booleans(),
    on_last=st.booleans(),
    n=st.integers(1, 70),
)
def test_packed_scores_are_the_plain_ones(
    dim: int,
    hidden: int,
    layers: int,
    activation: str,
    norm: bool,
    norm_first: bool,
    residual: bool,
    on_last: bool,
    n: int,
) -> None:
    converter = RepeatedDenseBlockConverter(
        [dim, *[dim if residual else hidden] * layers, 1],
        activation_type=activation,
        do_layer_norm=norm,
        layer_norm_before_residual=norm_first,
        do_residual=residual,
        do_residual_on_last=residual and on_last,
    )
    packed, plain = both(q_net(converter), rows(n, dim))
    torch.testing.assert_close(packed, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dim", [1, 3, 13, 24, 64, 200])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=HALVES)])
def test_a_score_does_not_depend_on_the_number_of_rows(dim: int, dtype: torch.dtype) -> None:
    net = q_net(RepeatedDenseBlockConverter([dim, dim, dim, 1])).prepared(dtype)
    items = rows(1024, dim).to(dtype)
    order = torch.randperm(1024, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        whole = net(items.unsqueeze(0))[0]
        for n in (1, 2, 3, 5, 16, 31, 48, 64, 257, 1000):
            assert torch.equal(net(items[None, :n])[0], whole[:n])
        assert torch.equal(net(items[order].unsqueeze(0))[0], whole[order])


@HALVES
def test_bfloat16_is_packed_without_a_detour() -> None:
    packed, plain = both(
        q_net(RepeatedDenseBlockConverter([64] * 7 + [1])), rows(50, 64).bfloat16()
    )
    assert packed.dtype == torch.bfloat16
    torch.testing.assert_close(packed, plain, rtol=0.1, atol=0.1)


def test_nested_and_warm_started_q_nets_are_packed_too() -> None:
    nested = MatryoshkaConverter([16, 32, 32, 1], widths=[8, 20], do_residual=False)
    for width in (8, 20, 32):
        packed, plain = both(q_net(nested).narrow(width), rows(20, 16))
        torch.testing.assert_close(packed, plain, rtol=1e-5, atol=1e-5)
    warm = WarmStartConverter([16, 16, 1], gate_init=0.5)
    packed, plain = both(q_net(warm, query_embedding=torch.ones(1, 16)), rows(20, 16))
    torch.testing.assert_close(packed, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so(residual: bool, value: float) -> None:
    """The fused ReLU gives 0 for NaN, and the document would have a score."""
    items = rows(10, 8)
    items[3, 2] = value
    converter = RepeatedDenseBlockConverter([8, 8, 8, 1], do_residual=residual)
    packed, plain = both(q_net(converter), items)
    assert torch.isfinite(packed).tolist() == torch.isfinite(plain).tolist()
    assert not torch.isfinite(packed[3])


def left_plain() -> dict[str, QNetBatch]:
    dense = RepeatedDenseBlockConverter([8, 8, 1])
    endless = q_net(dense)
    endless.matrices[0][0, 1, 1] = float("inf")
    return {
        "two queries": q_net(dense, q=2),
        "two outputs": q_net(RepeatedDenseBlockConverter([8, 8, 2])),
        "dropout": q_net(RepeatedDenseBlockConverter([8, 8, 1], do_dropout=True), is_training=True),
        "an infinite weight": endless,
        "float64": q_net(dense).to(dtype=torch.float64),
    }


@pytest.mark.parametrize("case", left_plain())
def test_what_cannot_be_packed_is_left_as_it_is(case: str) -> None:
    net = left_plain()[case]
    assert net.prepared(net.dtype) is net


class Doubled(RepeatedDenseBlockConverter):
    """A converter of a user's own, on top of a shipped one."""

    def __call__(self, *generated: Any) -> Any:
        dense = super().__call__(*generated)
        return lambda items: 2 * dense(items)


def test_a_converter_of_ones_own_is_scored_by_its_own_function() -> None:
    own, shipped = q_net(Doubled([8, 8, 1])), q_net(RepeatedDenseBlockConverter([8, 8, 1]))
    items = rows(5, 8)
    assert own.prepared(torch.float32) is own
    halves = own.prepared(torch.bfloat16)
    assert isinstance(halves, QNetBatch)
    assert halves.dtype == torch.bfloat16
    torch.testing.assert_close(own.score(items), 2 * shipped.score(items))


def test_packing_keeps_no_gradients_and_leaves_the_weights() -> None:
    net = q_net(RepeatedDenseBlockConverter([8, 8, 1]))
    net.matrices[0].requires_grad_()
    before = net.matrices[0].clone()
    packed = net.prepared(torch.float32)
    assert not packed(rows(4, 8).unsqueeze(0)).requires_grad
    assert torch.equal(net.matrices[0], before)
    net.score(rows(4, 8)).sum().backward()
    assert net.matrices[0].grad is not None


def test_a_packed_layer_is_a_linear_one() -> None:
    matrix, bias, items = rows(5, 7), rows(1, 7)[0], rows(9, 5)
    layer = PrepackedLinear(matrix, bias, dtype=torch.float32, relu=True)
    torch.testing.assert_close(layer(items), torch.relu(items @ matrix + bias))
