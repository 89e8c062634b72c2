from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from hypencli.errors import ModelError
from hypencli.models.qnets.protocols import QNetConverter
from hypencli.models.qnets.registry import (
    RepeatedDenseBlockConverter,
    WarmStartConverter,
    resolve_converter,
)


def test_published_shapes_have_a_bias_for_every_layer_but_the_last() -> None:
    converter = RepeatedDenseBlockConverter([8, 8, 8, 1])
    assert converter.weight_shapes == [(8, 8), (8, 8), (8, 1)]
    assert converter.bias_shapes == [(8, 1), (8, 1)]


def test_no_name_is_the_published_converter() -> None:
    for name in (None, "repeated-dense"):
        created = resolve_converter(name, {"vector_dimensions": [4, 4, 1]})
        assert isinstance(created, RepeatedDenseBlockConverter)
    assert isinstance(created, QNetConverter)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vector_dimensions": [4, 5, 1], "do_residual_on_last": True}, "4 to 5: a residual"),
        ({"vector_dimensions": [4, 5, 5, 1]}, "Layer 0 of the q-net is 4 to 5"),
        ({"vector_dimensions": [4, 4, 1], "activation_type": "swish"}, "Unknown activation_type"),
        ({"vector_dimensions": [4]}, "not a q-net"),
        (
            {"vector_dimensions": [4, 1], "do_residual": False, "do_residual_on_last": True},
            "needs do_residual",
        ),
        ({"vector_dimensions": [4, 1], "depth": 3}, "refuses .*depth"),
        ({}, "vector_dimensions"),
    ],
)
def test_options_that_cannot_work_fail_when_made(options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        resolve_converter(None, options)


def test_dropout_is_on_in_training_only() -> None:
    converter = RepeatedDenseBlockConverter([16, 16, 1], do_dropout=True, dropout_prob=0.5)
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(1, *s, generator=generator) for s in converter.weight_shapes]
    vectors = [torch.randn(1, *s, generator=generator) for s in converter.bias_shapes]
    x = torch.randn(1, 3, 16, generator=generator)
    calm = converter(matrices, vectors, False)
    assert torch.equal(calm(x), calm(x))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wild = converter(matrices, vectors, True)
        assert not torch.equal(wild(x), wild(x))


def test_a_warm_start_ranks_as_inner_products_until_the_gate_opens() -> None:
    converter = WarmStartConverter([4, 4, 1], projection_scale=2.0, gate_init=0.0)
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(3, *s, generator=generator) for s in converter.weight_shapes]
    vectors = [torch.randn(3, *s, generator=generator) for s in converter.bias_shapes]
    queries, x = torch.randn(3, 4, generator=generator), torch.randn(5, 4, generator=generator)
    nets = converter(matrices, vectors, False, query_embedding=queries)
    shared = x.unsqueeze(0).expand(3, -1, -1)
    assert torch.allclose(nets(shared)[..., 0], 2 * queries @ x.T, atol=1e-5)
    with torch.no_grad():
        converter.gate.fill_(1.5)
    dense = RepeatedDenseBlockConverter([4, 4, 1])(matrices, vectors, False)
    expected = 2 * queries @ x.T + 1.5 * dense(shared)[..., 0]
    assert torch.allclose(nets(shared)[..., 0], expected, atol=1e-5)


def test_a_warm_start_needs_one_output() -> None:
    with pytest.raises(ModelError, match="one output"):
        WarmStartConverter([4, 4, 2])


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ModelError, match="warm-start"):
        resolve_converter("warmstart", {})


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "someones_nets.py").write_text(
        "class Diagonal:\n"
        "    weight_shapes = [(4, 1)]\n"
        "    bias_shapes = []\n"
        "    def __call__(self, matrices, vectors, is_training):\n"
        "        return lambda x: x @ matrices[0]\n"
        "class Empty: pass\n"
        "value = 3\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "someones_nets", raising=False)
    return "someones_nets"


def test_code_of_others_is_imported_only_when_trusted(own_module: str) -> None:
    with pytest.raises(ModelError, match="trust_code=True"):
        resolve_converter(f"{own_module}:Diagonal", {})
    assert own_module not in sys.modules
    created = resolve_converter(f"{own_module}:Diagonal", {}, trust_code=True)
    assert list(created.weight_shapes) == [(4, 1)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Empty", "is not a converter"),
        ("Missing", "cannot be imported"),
        ("value", "is not a class"),
    ],
)
def test_what_is_no_converter_is_refused(own_module: str, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        resolve_converter(f"{own_module}:{name}", {}, trust_code=True)


def test_a_module_that_is_not_installed_says_so() -> None:
    with pytest.raises(ModelError, match="PYTHONPATH"):
        resolve_converter("no_such_package.nets:Net", {}, trust_code=True)
