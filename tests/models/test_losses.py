from __future__ import annotations

import pytest
import torch

from hypencli.errors import ModelError, UsageError
from hypencli.models.checkpoints.config import LossConfig
from hypencli.models.losses import (
    CrossEntropy,
    MarginMSE,
    QueryBatch,
    SelfDistillation,
    make_losses,
    margin_pairs,
)
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


def test_low_precision_similarities_become_float32_before_the_loss() -> None:
    queries = InnerProducts(vectors(2, 4).bfloat16())
    output = MarginMSE()(queries, vectors(4, 4).bfloat16(), torch.zeros(2, 2))
    assert output.loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LossConfig("margin"), "Did you mean 'margin_mse'"),
        (LossConfig("cross_entropy", {"temperature": 2}), "refuses its options.*temperature"),
        (LossConfig("cross_entropy", {"use_cross_device_negatives": True}), "refuses its options"),
        (LossConfig("cross_entropy", {"use_query_embedding_representation": True}), "refuses"),
    ],
)
def test_losses_that_do_not_exist_are_refused(config: LossConfig, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_losses([config])


def test_an_option_that_published_code_never_reads_is_accepted_when_off() -> None:
    options = {"use_query_embedding_representation": False}
    assert make_losses([LossConfig("cross_entropy", options)]) == [CrossEntropy()]


class Taught:
    """A q-net of the smallest kind, a matrix product, beside query embeddings that teach it."""

    def __init__(self, student: torch.Tensor, teacher: torch.Tensor | None) -> None:
        self.student, self.teacher = student, teacher
        self.num_queries = len(student)

    @property
    def embedded(self) -> InnerProducts | None:
        return None if self.teacher is None else InnerProducts(self.teacher)

    def __call__(self, items: torch.Tensor) -> torch.Tensor:
        return items @ self.student.unsqueeze(-1)

    def score(self, items: torch.Tensor) -> torch.Tensor:
        return self.student @ items.t()


def test_self_distillation_by_hand() -> None:
    queries = Taught(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    passages = torch.tensor([[3.0, 5.0], [1.0, 1.0]])
    output = SelfDistillation(teacher_scale=0.5, scale=3.0)(queries, passages, None)
    # Scores 3, 1 are 1, -1 about their mean; the teacher's 2.5, 0.5 are too, at 10 more.
    assert output.loss.item() == pytest.approx(0)
    assert output.similarity.tolist() == [[3.0, 1.0]]
    output = SelfDistillation(scale=3.0)(queries, passages, None)
    # The teacher's 5, 1 are 2, -2 about their mean.
    assert output.loss.item() == pytest.approx(3 * 1.0)


def test_self_distillation_is_blind_to_a_constant_a_query_and_to_nothing_else() -> None:
    passages = torch.cat([vectors(7, 4), torch.ones(7, 1)], dim=1)
    teacher = vectors(3, 5)
    shifted = teacher.clone()
    shifted[:, 4] += torch.tensor([1.0, -2.0, 3.0])  # the items' last column is 1
    loss = SelfDistillation()
    assert loss(Taught(shifted, teacher), passages, None).loss.item() == pytest.approx(0, abs=1e-6)
    assert loss(Taught(2 * teacher, teacher), passages, None).loss.item() > 1e-3


def test_self_distillation_learns_through_the_q_net_alone() -> None:
    student, teacher = vectors(3, 4).requires_grad_(), vectors(3, 4).double().float() + 1
    passages = vectors(6, 4).requires_grad_()
    teacher.requires_grad_()
    SelfDistillation()(Taught(student, teacher), passages, None).loss.backward()
    assert teacher.grad is None
    assert student.grad is not None
    # What a fixed teacher gives: the passages' gradient is that of the student's scores only.
    expected = passages.detach().clone().requires_grad_()
    fixed = (teacher @ passages.t()).detach()
    scores = student.detach() @ expected.t()
    difference = (scores - scores.mean(1, True)) - (fixed - fixed.mean(1, True))
    difference.square().mean().backward()
    torch.testing.assert_close(passages.grad, expected.grad)


@pytest.mark.parametrize("queries", [InnerProducts(vectors(2, 4)), Taught(vectors(2, 4), None)])
def test_self_distillation_needs_a_query_embedding(queries: QueryBatch) -> None:
    with pytest.raises(ModelError, match=r"makes none[\s\S]*embedding_representation"):
        SelfDistillation()(queries, vectors(4, 4), None)


def test_self_distillation_needs_two_passages() -> None:
    with pytest.raises(UsageError, match="at least two passages"):
        SelfDistillation()(Taught(vectors(1, 4), vectors(1, 4)), vectors(1, 4), None)
