"""Nested q-nets: every width against a few plain lines, the full one against the published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from hypencli.errors import ModelError
from hypencli.models.dual import HypencoderDualEncoder
from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.registry import (
    MatryoshkaConverter,
    RepeatedDenseBlockConverter,
    resolve_converter,
)

WIDTHS = (2, 3, 5)


def q_nets(converter: RepeatedDenseBlockConverter, queries: int = 3, seed: int = 0) -> QNetBatch:
    generator = torch.Generator().manual_seed(seed)

    def made(shapes: list[tuple[int, int]]) -> tuple[Tensor, ...]:
        return tuple(
            torch.randn(queries, *shape, generator=generator, requires_grad=True)
            for shape in shapes
        )

    return QNetBatch(made(converter.weight_shapes), made(converter.bias_shapes), converter)


def items(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def plain(nets: QNetBatch, query: int, x: Tensor, width: int, options: dict[str, Any]) -> Tensor:
    """One query's q-net at a width: items ``[n, d]`` -> ``[n, out]``, from the full weights."""
    hidden = len(nets.vectors)
    for i in range(hidden):
        rows = x.shape[1] if i == 0 else width
        y = x @ nets.matrices[i][query, :rows, :width] + nets.vectors[i][query, :width, 0]
        y = torch.relu(y)
        norms, first = options["do_layer_norm"], options["layer_norm_before_residual"]
        y = functional.layer_norm(y, (width,)) if norms and first else y
        residual = options["do_residual"] and (i < hidden - 1 or options["do_residual_on_last"])
        y = x[:, :width] + y if residual else y
        x = functional.layer_norm(y, (width,)) if norms and not first else y
    return x @ nets.matrices[-1][query, :width]


@given(st.data(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
def test_a_narrow_q_net_is_the_beginning_of_the_full_one(
    data: st.DataObject, depth: int, queries: int, outputs: int
) -> None:
    residual = data.draw(st.booleans())
    options = {
        "do_residual": residual,
        "do_residual_on_last": residual and data.draw(st.booleans()),
        "do_layer_norm": data.draw(st.booleans()),
        "layer_norm_before_residual": data.draw(st.booleans()),
    }
    dim = 8 if residual else data.draw(st.integers(3, 9))
    converter = MatryoshkaConverter([dim, *[8] * depth, outputs], widths=WIDTHS, **options)
    nets = q_nets(converter, queries)
    x = items(queries, 4, dim)
    for width in (*WIDTHS, 8):
        expected = torch.stack([plain(nets, i, x[i], width, options) for i in range(queries)])
        assert torch.allclose(nets.narrow(width)(x), expected, atol=1e-4)


@given(st.integers(1, 3), st.booleans())
def test_the_full_width_is_the_published_architecture_to_the_last_bit(
    depth: int, residual_on_last: bool
) -> None:
    shape = [8, *[8] * depth, 1]
    options = {"do_residual_on_last": residual_on_last}
    nested = q_nets(MatryoshkaConverter(shape, widths=WIDTHS, **options))
    published = q_nets(RepeatedDenseBlockConverter(shape, **options))
    assert [t.shape for t in nested.matrices] == [t.shape for t in published.matrices]
    assert [t.shape for t in nested.vectors] == [t.shape for t in published.vectors]
    x = items(20, 8)
    assert torch.equal(nested.score(x), published.score(x))
    assert torch.equal(nested.narrow(8).score(x), published.score(x))


def test_gradients_reach_the_weights_of_a_width_and_no_others() -> None:
    nets = q_nets(MatryoshkaConverter([8, 8, 8, 1], widths=WIDTHS))
    nets.narrow(3).score(items(5, 8)).square().sum().backward()
    first, second, last = (matrix.grad for matrix in nets.matrices)
    assert (first[:, :, :3] != 0).any(dim=2).all()
    assert not first[:, :, 3:].any()
    assert not second[:, 3:].any()
    assert not second[:, :, 3:].any()
    assert not last[:, 3:].any()
    assert last[:, :3].any()
    assert all(vector.grad[:, :3].any() for vector in nets.vectors)
    assert not any(vector.grad[:, 3:].any() for vector in nets.vectors)


def test_a_narrow_batch_copies_nothing_and_keeps_the_rest() -> None:
    nets = q_nets(MatryoshkaConverter([8, 8, 8, 1], widths=WIDTHS))
    with_embedding = QNetBatch(nets.matrices, nets.vectors, nets.converter, items(3, 8))
    narrow = with_embedding.narrow(5)
    for own, full in zip(narrow.matrices, nets.matrices, strict=True):
        assert own.untyped_storage().data_ptr() == full.untyped_storage().data_ptr()
    assert narrow.dim == 8
    assert torch.equal(narrow.query_embedding, items(3, 8))
    x = items(4, 8)
    torch.testing.assert_close(narrow[1:].score(x), narrow.score(x)[1:])


def test_widths_are_listed_and_nest() -> None:
    nets = q_nets(MatryoshkaConverter([8, 8, 8, 1], widths=WIDTHS))
    assert nets.widths == (2, 3, 5, 8)
    assert nets.narrow(5).widths == (2, 3, 5)
    x = items(4, 8)
    assert torch.equal(nets.narrow(5).narrow(2).score(x), nets.narrow(2).score(x))
    assert q_nets(RepeatedDenseBlockConverter([8, 8, 1])).widths == ()


def test_a_width_that_is_not_there_lists_those_that_are() -> None:
    nested = q_nets(MatryoshkaConverter([8, 8, 1], widths=[4]))
    with pytest.raises(ModelError, match=r"no q-nets of width 6[\s\S]*widths: 4, 8\."):
        nested.narrow(6)
    with pytest.raises(ModelError, match=r"one width only[\s\S]*matryoshka"):
        q_nets(RepeatedDenseBlockConverter([8, 8, 1])).narrow(4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": [3, 2]}, r"\[3, 2\] do not fit .*width 8.*from 1 to 7, rising"),
        ({"widths": [2, 2]}, "rising"),
        ({"widths": []}, "one or more"),
        ({"widths": [8]}, "from 1 to 7"),
        ({"widths": [0, 2]}, "from 1 to 7"),
        ({"widths": [2.5]}, "whole numbers"),
        ({"widths": 4}, "refuses"),
        ({}, "refuses .*widths"),
        ({"widths": [2], "vector_dimensions": [8, 1]}, "one or more hidden layers"),
        (
            {"widths": [2], "vector_dimensions": [8, 8, 6, 1], "do_residual": False},
            r"one width; the q-net has \[8, 6\]",
        ),
        ({"widths": [2], "vector_dimensions": [8, 6, 6, 1]}, "residual needs equal widths"),
        ({"widths": [2], "depth": 3}, "refuses .*depth"),
    ],
)
def test_options_that_cannot_work_fail_when_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        resolve_converter("matryoshka", {"vector_dimensions": [8, 8, 8, 1], **options})


def test_it_trains_at_two_widths_and_comes_back(
    build: Any, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    dual = build(
        converter="matryoshka", converter_options={"hidden_layers": 2, "widths": [8, 16]}
    ).train()
    queries = dual.query_encoder(batch["query_input_ids"], batch["query_attention_mask"])
    passages = dual.passage_encoder(
        batch["passage_input_ids"], batch["passage_attention_mask"]
    ).representation
    scores = [queries.representation.narrow(width).score(passages) for width in (8, 32)]
    torch.stack(scores).square().sum().backward()
    torch.optim.SGD(dual.parameters(), lr=1e-3).step()
    dual.eval().save_pretrained(tmp_path)
    loaded = HypencoderDualEncoder.from_pretrained(tmp_path)

    def narrow_scores(model: Any) -> Tensor:
        nets = model.query_encoder(batch["query_input_ids"], batch["query_attention_mask"])
        scored: Tensor = nets.representation.narrow(16).score(passages)
        return scored

    assert loaded.query_encoder.weight_to_model_converter.widths == (8, 16, 32)
    torch.testing.assert_close(narrow_scores(loaded), narrow_scores(dual))


def test_the_weights_of_a_published_model_can_be_the_start(build: Any) -> None:
    published = build(converter_options={"hidden_layers": 2})
    nested = build(converter="matryoshka", converter_options={"hidden_layers": 2, "widths": [8]})
    nested.load_state_dict(published.state_dict())
    ids = torch.randint(5, 60, (2, 6), generator=torch.Generator().manual_seed(4))
    x = items(7, 32)
    with torch.no_grad():
        scores = [model.query_encoder(ids).representation.score(x) for model in (published, nested)]
    assert torch.equal(scores[0], scores[1])
