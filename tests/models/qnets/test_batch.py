from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hypencli.errors import UsageError
from hypencli.models.qnets.batch import InnerProducts, QNetBatch, multiply
from hypencli.models.qnets.registry import RepeatedDenseBlockConverter, WarmStartConverter


def q_nets(widths: list[int], queries: int, *, seed: int = 0, **options: object) -> QNetBatch:
    converter = RepeatedDenseBlockConverter(widths, **options)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    return QNetBatch(
        matrices=tuple(
            torch.randn(queries, *shape, generator=generator) for shape in converter.weight_shapes
        ),
        vectors=tuple(
            torch.randn(queries, *shape, generator=generator) for shape in converter.bias_shapes
        ),
        converter=converter,
    )


def items(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_a_batch_knows_its_size_and_width() -> None:
    nets = q_nets([6, 6, 1], 5)
    assert (len(nets), nets.num_queries, nets.dim) == (5, 5, 6)
    assert nets(items(5, 4, 6)).shape == (5, 4, 1)


@given(st.integers(1, 5), st.integers(0, 6), st.integers(1, 3))
def test_scoring_shared_items_equals_scoring_copies(queries: int, n: int, outputs: int) -> None:
    nets = q_nets([6, 6, outputs], queries)
    shared = items(n, 6)
    copies = shared.repeat(queries, 1, 1)
    assert torch.allclose(nets(shared.unsqueeze(0)), nets(copies), atol=1e-5)
    if outputs == 1:
        assert torch.allclose(nets.score(shared), nets(copies)[..., 0], atol=1e-5)


@given(st.data())
def test_a_slice_scores_as_the_whole(data: st.DataObject) -> None:
    nets = q_nets([4, 4, 4, 1], 6)
    index = data.draw(st.slices(6).filter(lambda s: len(range(6)[s]) > 0 and (s.step or 1) > 0))
    x = items(6, 3, 4)
    assert torch.allclose(nets[index](x[index]), nets(x)[index], atol=1e-6)
    one = data.draw(st.integers(-6, 5))
    assert len(nets[one]) == 1
    assert torch.allclose(nets[one](x[one][None])[0], nets(x)[one], atol=1e-6)


def test_batches_concatenate_in_order() -> None:
    first, second = q_nets([4, 4, 1], 2), q_nets([4, 4, 1], 3, seed=9)
    both = QNetBatch.concatenate([first, second])
    x = items(7, 4)
    assert torch.allclose(both.score(x), torch.cat([first.score(x), second.score(x)]), atol=1e-6)
    with pytest.raises(UsageError, match="No q-nets"):
        QNetBatch.concatenate([])


def test_an_index_past_the_end_is_an_error() -> None:
    with pytest.raises(IndexError):
        q_nets([4, 4, 1], 2)[2]


@pytest.mark.parametrize("shape", [(3, 5), (2, 5, 4), (3, 5, 5), (3, 1, 5, 4)])
def test_items_that_do_not_fit_are_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"expected \[3, n, 4\] or \[1, n, 4\]"):
        q_nets([4, 4, 1], 3)(items(*shape))


def test_scores_need_one_output() -> None:
    with pytest.raises(UsageError, match="these have 2"):
        q_nets([4, 4, 2], 3).score(items(5, 4))


def test_half_precision_items_are_scored_in_the_q_nets_dtype() -> None:
    nets = q_nets([4, 4, 1], 2)
    x = items(5, 4).half()
    assert nets.score(x).dtype == torch.float32
    assert torch.equal(nets.score(x), nets.score(x.float()))


@pytest.mark.parametrize("outputs", [1, 40])
def test_shared_items_are_never_copied_per_query(outputs: int) -> None:
    x = items(1, 50, 8).expand(30, -1, -1)
    matrices = torch.randn(30, 8, outputs, generator=torch.Generator().manual_seed(2))
    with torch.profiler.profile(profile_memory=True) as profile:
        product = multiply(x, matrices)
    largest = max(event.self_cpu_memory_usage for event in profile.key_averages())
    results = max(product.nelement(), matrices.nelement()) * 4
    assert largest <= results  # a copy of the items for every query would be 30 * 50 * 8
    assert torch.allclose(product, x.contiguous() @ matrices, atol=1e-5)


def test_moving_a_batch_moves_a_converter_that_has_weights() -> None:
    converter = WarmStartConverter([4, 4, 1])
    shapes = (converter.weight_shapes, converter.bias_shapes)
    matrices, vectors = (tuple(torch.randn(2, *shape) for shape in each) for each in shapes)
    nets = QNetBatch(matrices, vectors, converter, query_embedding=torch.randn(2, 4))
    moved = nets.to(dtype=torch.float64)
    assert moved.dtype == torch.float64
    assert converter.gate.dtype == torch.float32
    x = items(3, 4)
    assert torch.allclose(moved.score(x.double()).float(), nets.score(x), atol=1e-5)
    assert not nets.detach().score(x).requires_grad or converter.gate.requires_grad


def test_inner_products_score_as_a_matrix_product() -> None:
    queries = InnerProducts(items(3, 4))
    x = items(5, 4)
    assert torch.allclose(queries.score(x), queries.embeddings @ x.T)
    assert torch.allclose(queries(x.unsqueeze(0))[..., 0], queries.score(x), atol=1e-6)
