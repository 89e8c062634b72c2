"""Which losses a run counts: in stages, over nested widths, of the model's own query embedding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hypencli.records import TrainingRow
from hypencli.training import HeldOutRows, Stage, TrainingOutcome, ValidationConfig
from hypencli.training.step import TrainingStep

Build = Callable[..., Any]
QuickTrain = Callable[..., TrainingOutcome]

TAUGHT_THEN_CONTRASTED = (("self_distillation", {}), ("cross_entropy", {"scale": 0.5}))
STAGES = (Stage(stop=3), Stage(first=2))


def curve(outcome: TrainingOutcome, name: str) -> dict[int, float]:
    return {step: value for step, actual, value in outcome.curves if actual == name}


@pytest.fixture
def taught(build: Build) -> Callable[[], Any]:
    return lambda: build(losses=TAUGHT_THEN_CONTRASTED, embedding_representation="mean")


def test_a_loss_counts_in_its_steps_only(
    taught: Callable[[], Any], quick_train: QuickTrain
) -> None:
    """Steps are counted from 0, points of the curves from 1: what has been done by then."""
    outcome = quick_train(taught(), steps=5, stages=STAGES)
    single = {name: curve(outcome, name) for name, _ in TAUGHT_THEN_CONTRASTED}
    assert set(single["self_distillation"]) == {1, 2, 3}
    assert set(single["cross_entropy"]) == {3, 4, 5}
    for step, total in curve(outcome, "loss").items():
        parts = [values[step] for values in single.values() if step in values]
        assert total == pytest.approx(sum(parts), rel=1e-5)


def test_a_stage_trains_as_its_loss_alone_would(
    taught: Callable[[], Any], build: Build, quick_train: QuickTrain
) -> None:
    staged = taught()
    alone = build(losses=TAUGHT_THEN_CONTRASTED[:1], embedding_representation="mean")
    quick_train(staged, steps=2, stages=(Stage(), Stage(first=2)))
    quick_train(alone, steps=2)
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, staged.state_dict()[name]), name


def test_stages_go_on_where_a_run_was_stopped(
    taught: Callable[[], Any], quick_train: QuickTrain, tmp_path: Path
) -> None:
    whole, again = taught(), taught()
    quick_train(whole, steps=5, stages=STAGES)
    for _ in range(2):  # after step 1, and after step 2
        quick_train(taught(), steps=5, stages=STAGES, output_dir=tmp_path, max_minutes=1e-9)
    outcome = quick_train(again, steps=5, stages=STAGES, output_dir=tmp_path)
    assert outcome.resumed_from == 2
    assert set(curve(outcome, "self_distillation")) == {1, 2, 3}
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_validation_counts_the_losses_of_the_moment(
    taught: Callable[[], Any], quick_train: QuickTrain, rows: list[TrainingRow]
) -> None:
    """Of the same rows at next to no rate, it is the loss that training on them had."""
    batch = rows[:4]
    outcome = quick_train(
        taught(),
        batch,
        steps=4,
        stages=(Stage(stop=2), Stage(first=2)),
        learning_rate=1e-20,
        validation=HeldOutRows(key="h", rows=batch),
        validating=ValidationConfig(every_steps=2, measures=("RR@10",)),
    )
    actual, trained = curve(outcome, "validation.loss"), curve(outcome, "loss")
    assert actual == {step: pytest.approx(trained[step], rel=1e-5) for step in (2, 4)}
    assert trained[2] != pytest.approx(trained[4], rel=1e-2)


NESTED = {"converter": "matryoshka", "converter_options": {"hidden_layers": 1, "widths": [8, 16]}}


def plain_q_net(matrices: list[Tensor], vector: Tensor, width: int, items: Tensor) -> Tensor:
    """Scores ``[n]`` of one q-net of one hidden layer, cut to its first units."""
    hidden = torch.relu(items @ matrices[0][:, :width] + vector[:width, 0])
    normed = functional.layer_norm(hidden, (width,))
    return (normed @ matrices[1][:width])[:, 0]


def test_a_nested_q_net_is_trained_at_the_mean_over_its_widths(build: Build) -> None:
    dual = build(**NESTED)
    torch.manual_seed(0)
    states, mask = torch.randn(3, 5, 32), torch.ones(3, 5, dtype=torch.long)
    passages, teacher = torch.randn(6, 32), torch.randn(3, 2)
    actual = TrainingStep(dual)(
        {"states": states, "mask": mask}, {"embeddings": passages}, labels=teacher
    )
    nets = dual.query_encoder(token_states=states, attention_mask=mask).representation
    margins, entropies = [], []
    for width in (8, 16, 32):
        scores = torch.stack(
            [
                plain_q_net([m[i] for m in nets.matrices], nets.vectors[0][i], width, passages)
                for i in range(3)
            ]
        )
        own = torch.stack([scores[i, 2 * i : 2 * i + 2] for i in range(3)])
        margins.append(functional.mse_loss(own[:, 0] - own[:, 1], teacher[:, 0] - teacher[:, 1]))
        entropies.append(functional.cross_entropy(scores[:, ::2], torch.arange(3)))
    assert list(actual) == ["loss", "margin_mse", "cross_entropy"]
    torch.testing.assert_close(actual["margin_mse"], torch.stack(margins).mean())
    torch.testing.assert_close(actual["cross_entropy"], torch.stack(entropies).mean())
    torch.testing.assert_close(actual["loss"], actual["margin_mse"] + actual["cross_entropy"])
    assert len({round(value.item(), 4) for value in entropies}) == 3


def test_training_makes_every_width_better(
    build: Build, quick_train: QuickTrain, rows: list[TrainingRow], tokenizer: Any
) -> None:
    losses = (("cross_entropy", {"use_in_batch_negatives": False}),)
    dual = build(losses=losses, **NESTED)
    before = entropies_by_width(dual, rows[:16], tokenizer)
    quick_train(dual, steps=50, batch_size=8)
    after = entropies_by_width(dual, rows[:16], tokenizer)
    assert set(before) == {8, 16, 32}
    for width, value in after.items():
        assert value < 0.9 * before[width], (width, before, after)


@torch.no_grad()
def entropies_by_width(dual: Any, rows: list[TrainingRow], tokenizer: Any) -> dict[int, float]:
    """Of each query between its own two passages, at every width."""

    def read(encoder: Any, texts: list[str]) -> Any:
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        return encoder(batch["input_ids"], batch["attention_mask"]).representation

    nets = read(dual.query_encoder, [row.query.text for row in rows])
    items = read(dual.passage_encoder, [item.content for row in rows for item in row.items])
    own = items.view(len(rows), 2, -1)
    targets = torch.zeros(len(rows), dtype=torch.long)
    return {
        width: functional.cross_entropy(nets.narrow(width)(own)[..., 0], targets).item()
        for width in nets.widths
    }
