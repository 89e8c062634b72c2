"""Scorers: slopes against finite differences, and some of the queries as all of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch

from hypencli.engine.scorers import InnerProductScorer, QNetScorer, Scorer
from hypencli.models.qnets.batch import ACTIVATIONS, QNetBatch
from hypencli.models.qnets.registry import MatryoshkaConverter, RepeatedDenseBlockConverter

DIM = 6
STEP = 1e-6


def net(converter: RepeatedDenseBlockConverter, generator: torch.Generator) -> QNetBatch:
    return QNetBatch(
        tuple(torch.randn(1, *s, generator=generator).double() for s in converter.weight_shapes),
        tuple(torch.randn(1, *s, generator=generator).double() for s in converter.bias_shapes),
        converter,
    )


def nets(q: int = 3, **options: object) -> QNetScorer:
    generator = torch.Generator().manual_seed(1)
    converter = RepeatedDenseBlockConverter([DIM, DIM, DIM, 1], **options)
    return QNetScorer([net(converter, generator) for _ in range(q)], DIM)


def points(n: int = 5) -> torch.Tensor:
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(2)).double()


def by_differences(scorer: Scorer, at: torch.Tensor) -> torch.Tensor:
    """Slopes [q, n, d] from scores on both sides of each point, in float64."""
    steps = STEP * torch.eye(DIM, dtype=torch.float64)
    rises = [scorer(at + step) - scorer(at - step) for step in steps]
    return torch.stack(rises, dim=-1) / (2 * STEP)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_of_q_nets_are_those_of_differences(activation: str) -> None:
    scorer = nets(activation_type=activation)
    gradients = scorer.gradients(points())
    assert gradients.shape == (3, 5, DIM)
    torch.testing.assert_close(gradients, by_differences(scorer, points()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{"do_layer_norm": False}, {"do_residual": False}])
def test_slopes_of_other_architectures(options: dict[str, bool]) -> None:
    scorer = nets(**options)
    actual, expected = scorer.gradients(points()), by_differences(scorer, points())
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


def test_slopes_of_narrow_q_nets() -> None:
    converter = MatryoshkaConverter([DIM, 16, 16, 1], widths=[8], do_residual=False)
    whole = net(converter, torch.Generator().manual_seed(3))
    scorer = QNetScorer([whole.narrow(8)], DIM)
    actual, expected = scorer.gradients(points()), by_differences(scorer, points())
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(actual, QNetScorer([whole], DIM).gradients(points()))


def test_slopes_of_inner_products_are_the_queries() -> None:
    queries = torch.randn(3, DIM, generator=torch.Generator().manual_seed(4)).double()
    gradients = InnerProductScorer(queries).gradients(points())
    torch.testing.assert_close(gradients, by_differences(InnerProductScorer(queries), points()))
    assert torch.equal(gradients, queries[:, None].expand(3, 5, DIM))


@pytest.mark.parametrize("context", [nullcontext, torch.no_grad, torch.inference_mode])
def test_slopes_are_had_where_nothing_else_is_differentiated(
    context: Callable[[], AbstractContextManager[None]],
) -> None:
    """A search runs without gradients, and leaves the q-nets without any."""
    scorer = nets()
    expected = by_differences(scorer, points())
    with context():
        gradients = scorer.gradients(points())
        again = scorer.gradients(points())
    torch.testing.assert_close(gradients, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(gradients, again)
    assert not gradients.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_slopes_come_in_the_dtype_of_the_vectors(dtype: torch.dtype) -> None:
    fine = nets()
    scorer = QNetScorer([each.to(dtype=dtype) for each in fine._q_nets], DIM)
    gradients = scorer.gradients(points().to(dtype))
    assert gradients.dtype == dtype
    expected = fine.gradients(points())
    near = torch.cosine_similarity(gradients.double().flatten(), expected.flatten(), dim=0)
    assert near > (0.9999 if dtype == torch.float32 else 0.98)
    vectors = InnerProductScorer(torch.ones(2, DIM)).gradients(points().to(dtype))
    assert vectors.dtype == dtype


def test_no_queries_and_no_points_have_slopes() -> None:
    assert nets(0).gradients(points()).shape == (0, 5, DIM)
    assert nets().gradients(points(0)).shape == (3, 0, DIM)
    none = InnerProductScorer(torch.empty(0, DIM, dtype=torch.float64))
    assert none.gradients(points()).shape == (0, 5, DIM)


@pytest.mark.parametrize("chosen", [[2], [0, 1, 2], [2, 0], [1, 1], []])
@pytest.mark.parametrize("kind", ["q-net", "inner product"])
def test_some_queries_score_as_they_do_among_all(kind: str, chosen: list[int]) -> None:
    """To the last bit, in the order asked for."""
    queries = torch.randn(3, DIM, generator=torch.Generator().manual_seed(5)).double()
    scorer: Scorer = nets() if kind == "q-net" else InnerProductScorer(queries)
    some = scorer.select(chosen)
    assert isinstance(some, Scorer)
    assert (some.n_queries, some.dim) == (len(chosen), DIM)
    at = points(64)
    assert torch.equal(some(at), scorer(at)[chosen])
    assert torch.equal(some.gradients(at), scorer.gradients(at)[chosen])
