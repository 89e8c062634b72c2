"""Cross-entropy against that of torch, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from hypencli.errors import UsageError
from hypencli.models.losses.cross_entropy import CrossEntropy
from hypencli.models.qnets.batch import InnerProducts


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(shape[0]))


def test_cross_entropy_targets_the_first_item_of_each_query() -> None:
    queries, passages = InnerProducts(vectors(3, 4)), vectors(6, 4)
    everything = queries.score(passages)
    loss = torch.nn.CrossEntropyLoss()
    in_batch = CrossEntropy()(queries, passages, None)
    assert torch.allclose(in_batch.loss, loss(everything, torch.tensor([0, 2, 4])))
    first = CrossEntropy(only_use_first_item=True, scale=0.5)(queries, passages, None)
    assert torch.allclose(first.loss, 0.5 * loss(everything[:, ::2], torch.arange(3)))
    own = CrossEntropy(use_in_batch_negatives=False)(queries, passages, None)
    blocks = torch.stack([everything[i, 2 * i : 2 * i + 2] for i in range(3)])
    assert torch.allclose(own.similarity, blocks, atol=1e-6)
    assert torch.allclose(own.loss, loss(blocks, torch.zeros(3, dtype=torch.long)))


def test_passages_that_cannot_be_divided_are_refused() -> None:
    for loss in (CrossEntropy(), CrossEntropy(use_in_batch_negatives=False)):
        with pytest.raises(UsageError, match="5 passages cannot be divided among 2 queries"):
            loss(InnerProducts(vectors(2, 4)), vectors(5, 4), None)
