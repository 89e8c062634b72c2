"""A q-net learns its query embedding's scores, and nothing else."""

from __future__ import annotations

import pytest
import torch

from hypencli.errors import ModelError, UsageError
from hypencli.models.losses.base import QueryBatch
from hypencli.models.losses.self_distillation import SelfDistillation
from hypencli.models.qnets.batch import InnerProducts


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(shape[0]))


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
