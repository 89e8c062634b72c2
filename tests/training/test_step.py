"""The optimiser step, against plain code that shares nothing with the package but the encoders."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hypencli.records import TrainingRow
from hypencli.training import Sampling, TrainingOutcome
from hypencli.training.step import TrainingStep, WithRandomNegatives

RATE, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8


def pooled(dual: Any, tokenizer: Any, texts: list[str], max_length: int) -> tuple[Tensor, ...]:
    batch = tokenizer(
        texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
    states = dual.passage_encoder.transformer(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    return (states * mask).sum(1) / mask.sum(1), states, batch["attention_mask"]


def plain_scores(dual: Any, tokenizer: Any, queries: list[str], passages: Tensor) -> Tensor:
    """Scores ``[q, n]``: one query, one q-net at a time."""
    vectors, states, mask = pooled(dual, tokenizer, queries, 32)
    if type(dual).__name__ == "TextDualEncoder":
        return vectors @ dual.query_encoder.projection.weight.T @ passages.T
    rows = []
    for i in range(len(queries)):
        net = dual.query_encoder(
            token_states=states[i : i + 1], attention_mask=mask[i : i + 1]
        ).representation
        hidden = functional.linear(passages, net.matrices[0][0].T, net.vectors[0][0, :, 0])
        normed = functional.layer_norm(torch.relu(hidden), hidden.shape[-1:])
        rows.append((normed @ net.matrices[1][0])[:, 0])
    return torch.stack(rows)


def plain_losses(scores: Tensor, teacher: Tensor) -> Tensor:
    """MarginMSE of each query's own two passages, and cross-entropy over the first of each."""
    n = len(scores)
    own = torch.stack([scores[i, 2 * i : 2 * i + 2] for i in range(n)])
    margins = (own[:, 0] - own[:, 1]) - (teacher[:, 0] - teacher[:, 1])
    firsts = scores[:, ::2]
    entropy = -(firsts.diag() - firsts.logsumexp(1)).mean()
    return (margins**2).mean() + entropy


def adamw_by_hand(model: Any) -> dict[str, Tensor]:
    """What the first step of AdamW gives, after the gradient is clipped to norm 1."""
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    norm = torch.sqrt(sum((g**2).sum() for g in gradients.values()))
    factor = min(1.0, 1.0 / (float(norm) + 1e-6))
    after = {}
    for name, parameter in model.named_parameters():
        after[name] = parameter.detach().clone()
        if name in gradients:
            g = gradients[name] * factor
            first, second = (1 - BETAS[0]) * g, (1 - BETAS[1]) * g**2
            corrected = first / (1 - BETAS[0]), second / (1 - BETAS[1])
            after[name] -= RATE * corrected[0] / (corrected[1].sqrt() + EPS)
    return after


@pytest.mark.parametrize("kind", ["hypencoder", "bi-encoder"])
def test_one_step_equals_a_plain_implementation(
    kind: str,
    build: Callable[..., Any],
    quick_train: Callable[..., TrainingOutcome],
    rows: list[TrainingRow],
    tokenizer: Any,
) -> None:
    dual = build(kind)
    plain = copy.deepcopy(dual)
    batch = rows[:4]
    outcome = quick_train(dual, batch, steps=1, batch_size=4, learning_rate=RATE)

    passages, *_ = pooled(plain, tokenizer, [i.content for r in batch for i in r.items], 64)
    scores = plain_scores(plain, tokenizer, [r.query.text for r in batch], passages)
    loss = plain_losses(scores, torch.tensor([[i.score for i in r.items] for r in batch]))
    loss.backward()

    assert outcome.final_loss == pytest.approx(loss.item(), rel=1e-5)
    expected = adamw_by_hand(plain)
    moved = 0
    for name, parameter in dual.named_parameters():
        # The first step of Adam divides a gradient by its own size: where that is noise, so is the
        # step. Those parameters are compared only to the size of a step.
        gradient = dict(plain.named_parameters())[name].grad
        real = None if gradient is None else gradient.abs() > 1e-5
        if real is not None and real.any():
            torch.testing.assert_close(parameter[real], expected[name][real], rtol=0, atol=2e-5)
            moved += 1
        torch.testing.assert_close(parameter, expected[name], rtol=0, atol=2.1 * RATE)
    assert moved > 10


def test_accumulated_batches_equal_one_large_batch(
    build: Callable[..., Any],
    quick_train: Callable[..., TrainingOutcome],
    rows: list[TrainingRow],
) -> None:
    """With a loss that looks at each query alone, how batches are cut changes nothing."""
    losses = (("cross_entropy", {"use_in_batch_negatives": False}),)
    whole, parts = build(losses=losses), build(losses=losses)
    one = quick_train(whole, rows[:8], steps=1, batch_size=8)
    two = quick_train(parts, rows[:8], steps=1, batch_size=4, gradient_accumulation=2)
    assert one.final_loss == pytest.approx(two.final_loss, rel=1e-5)
    norms = [value for outcome in (one, two) for _, n, value in outcome.curves if n == "grad_norm"]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


class PlainQueries:
    num_queries = 2

    def __call__(self, items: Tensor) -> Tensor:
        return items.sum(-1, keepdim=True)

    def score(self, items: Tensor) -> Tensor:
        return torch.stack([items.sum(-1), 2 * items.sum(-1)])


def test_random_negatives_reach_losses_over_the_batch_only() -> None:
    queries = WithRandomNegatives(PlainQueries(), torch.full((3, 4), 0.5))
    items = torch.ones(2, 4)
    assert queries.score(items).tolist() == [[4, 4, 2, 2, 2], [8, 8, 4, 4, 4]]
    assert queries(items.unsqueeze(1)).shape == (2, 1, 1)


def test_random_negatives_are_more_to_tell_apart(build: Callable[..., Any], tokenizer: Any) -> None:
    dual = build("bi-encoder", losses=(("cross_entropy", {}),))
    step = TrainingStep(dual)
    queries, passages = torch.randn(2, 5, 32), torch.randn(2, 32)
    extra = torch.randn(3, 32)
    states = {"states": queries, "mask": torch.ones(2, 5, dtype=torch.long)}
    loss = step(states, {"embeddings": passages}, {"embeddings": extra})["loss"]
    scores = queries.mean(1) @ torch.cat([passages, extra]).T
    expected = functional.cross_entropy(scores, torch.arange(2))
    torch.testing.assert_close(loss, expected)


def test_a_taught_q_net_is_taught_on_random_negatives_too(build: Callable[..., Any]) -> None:
    """Student and teacher score the same passages; without their embeddings there is no teacher."""
    losses = (("self_distillation", {}), ("cross_entropy", {}))
    dual = build(losses=losses, embedding_representation="mean")
    torch.manual_seed(0)
    queries, passages, extra = torch.randn(2, 5, 32), torch.randn(2, 32), torch.randn(3, 32)
    states = {"states": queries, "mask": torch.ones(2, 5, dtype=torch.long)}
    actual = TrainingStep(dual)(states, {"embeddings": passages}, {"embeddings": extra})
    items = torch.cat([passages, extra])
    nets = dual.query_encoder(token_states=queries, attention_mask=states["mask"]).representation
    scores = torch.stack([nets[i].score(items)[0] for i in range(2)])
    taught = queries.mean(1) @ items.T
    wanted = ((scores - scores.mean(1, True)) - (taught - taught.mean(1, True))).square().mean()
    torch.testing.assert_close(actual["self_distillation"], wanted)


def test_single_losses_are_named_where_there_are_several(build: Callable[..., Any]) -> None:
    three = build("bi-encoder", losses=(("margin_mse", {}), ("cross_entropy", {})) * 2)
    outputs = TrainingStep(three)(
        {"states": torch.randn(2, 5, 32), "mask": torch.ones(2, 5, dtype=torch.long)},
        {"embeddings": torch.randn(4, 32)},
        labels=torch.randn(2, 2),
    )
    names = ["loss", "margin_mse", "cross_entropy", "margin_mse_2", "cross_entropy_2"]
    assert list(outputs) == names
    total = sum(value for name, value in outputs.items() if name != "loss")
    torch.testing.assert_close(outputs["loss"], total)


def test_samples_follow_the_seed_not_the_batch(
    build: Callable[..., Any], quick_train: Callable[..., TrainingOutcome], rows: list[TrainingRow]
) -> None:
    """What a row meets is the same however rows are batched: the sums over an epoch agree."""
    sampling = Sampling(negatives_per_query=1, too_few_negatives="repeat")
    losses = (("cross_entropy", {"use_in_batch_negatives": False}),)
    means = []
    for batch_size in (4, 8):
        outcome = quick_train(
            build(losses=losses),
            rows[:16],
            steps=None,
            epochs=1.0,
            batch_size=batch_size,
            learning_rate=1e-12,
            sampling=sampling,
        )
        values = [value for _, name, value in outcome.curves if name == "loss"]
        means.append(sum(values) / len(values))
    assert means[0] == pytest.approx(means[1], rel=1e-5)
