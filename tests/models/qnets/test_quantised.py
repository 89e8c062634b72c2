"""Q-nets in int8: near their float32 scores, row by row, and without a score where they fail."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypencli.models.qnets.batch import ACTIVATIONS, PreparedQNet, QNetBatch
from hypencli.models.qnets.quantised import QuantisedLinear, can_quantise
from hypencli.models.qnets.registry import (
    MatryoshkaConverter,
    RepeatedDenseBlockConverter,
    WarmStartConverter,
)
from tests.models.conftest import q_net, rows

pytestmark = pytest.mark.skipif(
    not can_quantise(torch.device("cpu")), reason="this machine does not multiply bytes"
)


def both(net: QNetBatch, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores in int8, with ranges of the same items, and in float32."""
    rough = net.prepared(torch.int8, items)
    assert isinstance(rough, PreparedQNet)
    return rough(items.unsqueeze(0))[0, :, 0], net.score(items)[0]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("inputs", "outputs", "n"), [(1, 1, 1), (13, 7, 3), (64, 96, 130)])
def test_a_layer_is_one_of_rounded_numbers(inputs: int, outputs: int, n: int, relu: bool) -> None:
    """Against the same sums of whole numbers in float64."""
    items, matrix, bias = rows(n, inputs), rows(inputs, outputs, 2), rows(1, outputs, 3)[0]
    created = QuantisedLinear(matrix, bias, like=items, relu=relu)(items)
    assert created.dtype == torch.bfloat16
    least, most = min(0.0, float(items.min())), max(0.0, float(items.max()))
    step, steps = (most - least) / 255, matrix.abs().amax(dim=0) / 127
    rounded = (items / step + round(-least / step)).round().clamp(0, 255) - round(-least / step)
    expected = (rounded.double() * step) @ ((matrix / steps).round() * steps).double() + bias
    expected = expected.relu() if relu else expected
    torch.testing.assert_close(created.double(), expected, rtol=0.005, atol=0.005)


@settings(max_examples=60, derandomize=True)
@given(
    dim=st.integers(1, 40),
    hidden=st.integers(1, 40),
    layers=st.integers(1, 4),
    activation=st.sampled_from(list(ACTIVATIONS)),
    norm_first=st.booleans(),
    residual=st.booleans(),
    on_last=st.booleans(),
    n=st.integers(1, 70),
)
def test_scores_are_near_those_of_float32(
    dim: int,
    hidden: int,
    layers: int,
    activation: str,
    norm_first: bool,
    residual: bool,
    on_last: bool,
    n: int,
) -> None:
    """Without the norm, which makes much of what is rounded away where all outputs are alike."""
    converter = RepeatedDenseBlockConverter(
        [dim, *[dim if residual else hidden] * layers, 1],
        activation_type=activation,
        do_layer_norm=False,
        layer_norm_before_residual=norm_first,
        do_residual=residual,
        do_residual_on_last=residual and on_last,
    )
    items = rows(n, dim)
    rough, fine = both(q_net(converter), items)
    torch.testing.assert_close(rough, fine, rtol=0.1, atol=0.03 * float(items.norm(dim=1).max()))


def test_wide_normed_layers_keep_nearly_all_of_a_score() -> None:
    rough, fine = both(q_net(RepeatedDenseBlockConverter([128] * 7 + [1])), rows(500, 128))
    assert float(torch.corrcoef(torch.stack([rough, fine]))[0, 1]) > 0.99


@pytest.mark.parametrize("dim", [1, 13, 64, 200])
def test_a_score_depends_neither_on_the_other_rows_nor_on_the_thread(dim: int) -> None:
    items = rows(600, dim)
    net = q_net(RepeatedDenseBlockConverter([dim, dim, dim, 1])).prepared(torch.int8, items)
    assert net is not None
    whole = net(items.unsqueeze(0))[0]
    before = items.clone()
    for n in (1, 3, 64, 257):
        assert torch.equal(net(items[None, :n])[0], whole[:n])
    assert torch.equal(items, before), "what is given is read only"


def test_nested_and_warm_started_q_nets_have_int8_too() -> None:
    nested = MatryoshkaConverter([16, 32, 32, 1], widths=[8, 20], do_residual=False)
    for width in (8, 20, 32):
        rough, fine = both(q_net(nested).narrow(width), rows(200, 16))
        assert float(torch.corrcoef(torch.stack([rough, fine]))[0, 1]) > 0.98
    warm = WarmStartConverter([16, 16, 1], gate_init=0.5)
    with torch.no_grad():
        rough, fine = both(q_net(warm, query_embedding=torch.ones(1, 16)), rows(200, 16))
    assert float(torch.corrcoef(torch.stack([rough, fine]))[0, 1]) > 0.98


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30, 1e3])
def test_what_is_not_finite_or_far_outside_scores_nan(residual: bool, value: float) -> None:
    """As bytes it would be some number, and the document would have a score."""
    items = rows(10, 8)
    net = q_net(RepeatedDenseBlockConverter([8, 8, 8, 1], do_residual=residual)).prepared(
        torch.int8, items
    )
    assert net is not None
    items[3, 2] = value
    assert torch.isnan(net(items.unsqueeze(0))[0, :, 0]).nonzero().tolist() == [[3]]


def left() -> dict[str, tuple[QNetBatch, torch.Tensor]]:
    dense = RepeatedDenseBlockConverter([8, 8, 1])
    endless = q_net(dense)
    endless.matrices[0][0, 1, 1] = float("inf")
    dropping = RepeatedDenseBlockConverter([8, 8, 1], do_dropout=True)
    return {
        "two queries": (q_net(dense, q=2), rows(5, 8)),
        "two outputs": (q_net(RepeatedDenseBlockConverter([8, 8, 2])), rows(5, 8)),
        "no layer": (q_net(RepeatedDenseBlockConverter([8, 1])), rows(5, 8)),
        "dropout": (q_net(dropping, is_training=True), rows(5, 8)),
        "an infinite weight": (endless, rows(5, 8)),
        "rows that are not finite": (q_net(dense), torch.full((5, 8), torch.nan)),
    }


@pytest.mark.parametrize("case", left())
def test_what_cannot_be_in_int8_says_so(case: str) -> None:
    net, items = left()[case]
    assert net.prepared(torch.int8, items) is None


def test_it_keeps_no_gradients() -> None:
    net = q_net(RepeatedDenseBlockConverter([8, 8, 1]))
    net.matrices[0].requires_grad_()
    rough = net.prepared(torch.int8, rows(4, 8))
    assert rough is not None
    assert not rough(rows(4, 8).unsqueeze(0)).requires_grad
