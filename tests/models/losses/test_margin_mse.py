"""MarginMSE against sums by hand, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from hypencli.errors import UsageError
from hypencli.models.losses.margin_mse import MarginMSE, margin_pairs
from hypencli.models.qnets.batch import InnerProducts


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(shape[0]))


def test_margin_mse_by_hand() -> None:
    queries = InnerProducts(torch.tensor([[1.0, 0.0]]))
    passages = torch.tensor([[3.0, 0.0], [1.0, 0.0], [2.5, 0.0]])
    labels = torch.tensor([[5.0, 4.0, 5.0]])
    output = MarginMSE(scale=2.0)(queries, passages, labels)
    # Margins 2 and 0.5 against the teacher's 1 and 0.
    assert output.loss.item() == pytest.approx(2 * (1**2 + 0.5**2) / 2)
    assert output.similarity.tolist() == [[3.0, 1.0], [3.0, 2.5]]


def test_margin_pairs_go_query_by_query() -> None:
    pairs = margin_pairs(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert pairs.tolist() == [[1, 2], [1, 3], [4, 5], [4, 6]]


@pytest.mark.parametrize("labels", [None, torch.zeros(2, 2), torch.zeros(4)])
def test_margin_mse_says_which_labels_it_needs(labels: torch.Tensor | None) -> None:
    with pytest.raises(UsageError, match=r"expected shape \[2, 3\]"):
        MarginMSE()(InnerProducts(vectors(2, 4)), vectors(6, 4), labels)


def test_margin_mse_needs_a_negative() -> None:
    with pytest.raises(UsageError, match="at least one negative"):
        MarginMSE()(InnerProducts(vectors(2, 4)), vectors(2, 4), torch.zeros(2, 1))


def test_low_precision_similarities_become_float32_before_the_loss() -> None:
    queries = InnerProducts(vectors(2, 4).bfloat16())
    output = MarginMSE()(queries, vectors(4, 4).bfloat16(), torch.zeros(2, 2))
    assert output.loss.dtype == torch.float32
