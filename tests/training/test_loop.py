from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from hypencli.errors import DataError, ModelError, UsageError
from hypencli.records import Query, TrainingItem, TrainingRow
from hypencli.training import Sampling, StateCache, TrainingConfig, TrainingOutcome

Build = Callable[..., Any]
QuickTrain = Callable[..., TrainingOutcome]
KINDS = ["hypencoder", "warm-start", "bi-encoder"]


def weights(dual: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in dual.state_dict().items()}


def losses(outcome: TrainingOutcome) -> list[float]:
    return [value for _, name, value in outcome.curves if name == "loss"]


@pytest.mark.parametrize("kind", KINDS)
def test_loss_goes_down(kind: str, build: Build, quick_train: QuickTrain) -> None:
    outcome = quick_train(build(kind), steps=40, batch_size=8, logging_steps=10)
    values = losses(outcome)
    assert values[-1] < 0.8 * values[0]
    assert outcome.final_loss == values[-1]
    assert (outcome.steps, outcome.n_rows) == (40, 96)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_weights_bit_for_bit(
    kind: str, build: Build, quick_train: QuickTrain
) -> None:
    sampling = Sampling(negatives_per_query=1, random_negatives=5)
    trained = []
    for seed in (1, 1, 2):
        torch.rand(seed)  # the caller's own random numbers change nothing
        dual = build(kind, dropout=True)
        quick_train(dual, seed=seed, sampling=sampling)
        trained.append(weights(dual))
    first, same, other = trained
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_caller_finds_everything_as_it_was(build: Build, quick_train: QuickTrain) -> None:
    dual = build()
    transformers.logging.set_verbosity(37)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    quick_train(dual)
    assert transformers.logging.get_verbosity() == 37
    transformers.logging.set_verbosity_warning()
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    assert not dual.training


@pytest.mark.parametrize("kind", ["hypencoder", "warm-start", "bi-encoder"])
def test_cached_states_train_the_same_model(
    kind: str, build: Build, quick_train: QuickTrain
) -> None:
    """With dropout in the backbone too: a frozen one has none."""
    sampling = Sampling(negatives_per_query=1, random_negatives=6)
    outcomes, models = [], []
    for cache in (None, StateCache(), StateCache(dtype=torch.float16)):
        dual = build(kind, freeze_encoder=True, dropout=True)
        outcomes.append(quick_train(dual, steps=6, sampling=sampling, cache=cache))
        models.append(weights(dual))
    assert losses(outcomes[1]) == pytest.approx(losses(outcomes[0]), rel=1e-4)
    assert losses(outcomes[2]) == pytest.approx(losses(outcomes[0]), rel=1e-2)
    for name, tensor in models[0].items():
        torch.testing.assert_close(models[1][name], tensor, rtol=0, atol=1e-3)


def test_a_frozen_encoder_stays(build: Build, quick_train: QuickTrain) -> None:
    dual = build("warm-start", freeze_encoder=True)
    before = weights(dual)
    quick_train(dual, cache=StateCache())
    changed = {name for name, tensor in dual.state_dict().items() if (tensor != before[name]).any()}
    assert changed
    assert not any("transformer" in name for name in changed)
    assert any("converter.gate" in name for name in changed)


def test_curves(build: Build, quick_train: QuickTrain) -> None:
    outcome = quick_train(build(), steps=5, logging_steps=2, schedule="linear", warmup_steps=2)
    assert {step for step, _, _ in outcome.curves} == {2, 4, 5}
    names = {name for _, name, _ in outcome.curves}
    assert names == {"loss", "margin_mse", "cross_entropy", "learning_rate", "grad_norm", "epoch"}
    values = {(step, name): value for step, name, value in outcome.curves}
    total = values[4, "margin_mse"] + values[4, "cross_entropy"]
    assert values[4, "loss"] == pytest.approx(total, rel=1e-5)
    assert values[2, "learning_rate"] == pytest.approx(5e-4)
    assert values[5, "learning_rate"] == pytest.approx(1e-3 / 3, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "rates"),
    [
        ({"schedule": "constant"}, [1e-3, 1e-3, 1e-3, 1e-3]),
        ({"schedule": "constant", "warmup_ratio": 0.5}, [0, 5e-4, 1e-3, 1e-3]),
        ({"schedule": "linear"}, [1e-3, 7.5e-4, 5e-4, 2.5e-4]),
        ({"schedule": "cosine"}, [1e-3, 8.5355e-4, 5e-4, 1.4645e-4]),
    ],
)
def test_schedules(
    changes: dict[str, Any], rates: list[float], build: Build, quick_train: QuickTrain
) -> None:
    outcome = quick_train(build("bi-encoder"), steps=4, **changes)
    logged = [value for _, name, value in outcome.curves if name == "learning_rate"]
    assert logged == pytest.approx(rates, rel=1e-3)


def test_epochs(build: Build, quick_train: QuickTrain, rows: list[TrainingRow]) -> None:
    outcome = quick_train(build("bi-encoder"), rows[:10], steps=None, epochs=2.0, batch_size=4)
    assert outcome.steps == 6


def test_rates_by_name(build: Build, quick_train: QuickTrain) -> None:
    dual = build("warm-start", freeze_encoder=True)
    before = weights(dual)
    quick_train(dual, steps=1, learning_rates={"*.gate": 0.5, "*": 0.0})
    after = dual.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(changed) == 1
    assert changed[0].endswith(".gate")
    assert abs(after[changed[0]] - before[changed[0]]) == pytest.approx(0.5, rel=1e-3)


def test_weight_decay_spares_biases_and_norms(build: Build, quick_train: QuickTrain) -> None:
    dual = build()
    before = weights(dual)
    # No gradient at all where nothing moves but by decay: the rate is tiny, the decay is not.
    quick_train(dual, steps=1, learning_rate=1e-6, weight_decay=1e5)
    after = dual.state_dict()
    for name in before:
        ratio = after[name].abs().sum() / before[name].abs().sum().clamp(min=1e-9)
        if name.endswith("key_projections.0.weight"):
            assert ratio == pytest.approx(0.9, abs=0.01)
        if "LayerNorm.weight" in name:
            assert ratio == pytest.approx(1.0, abs=0.01)


def test_random_negatives_from_a_pool(build: Build, quick_train: QuickTrain) -> None:
    sampling = Sampling(negatives_per_query=1, random_negatives=8)
    entropy = (("cross_entropy", {}),)
    plain = quick_train(build("bi-encoder", losses=entropy), steps=1)
    pool = [f"planet moon {word}" for word in ("river", "star", "bread", "music", "sun")]
    drawn = quick_train(build("bi-encoder", losses=entropy), steps=1, sampling=sampling, pool=pool)
    assert drawn.final_loss > plain.final_loss


def test_bfloat16_keeps_float32_weights(build: Build, quick_train: QuickTrain) -> None:
    dual = build()
    outcome = quick_train(dual, mixed_bfloat16=True)
    assert {tensor.dtype for tensor in dual.parameters()} == {torch.float32}
    assert outcome.final_loss == pytest.approx(quick_train(build()).final_loss, rel=0.05)


class Listener:
    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}

    @contextmanager
    def task(self, description: str, *, total: int | None = None, unit: str = "items") -> Any:
        seen = self.tasks.setdefault(description, {"total": total, "done": 0, "notes": []})

        class SearchTask:
            def advance(self, count: int = 1) -> None:
                seen["done"] += count

            def set_total(self, total: int) -> None:
                seen["total"] = total

            def note(self, text: str) -> None:
                seen["notes"].append(text)

        yield SearchTask()

    def message(self, text: str) -> None: ...


def test_progress_is_reported_and_nothing_printed(
    build: Build, quick_train: QuickTrain, capfd: pytest.CaptureFixture[str]
) -> None:
    listener = Listener()
    dual = build("warm-start", freeze_encoder=True)
    capfd.readouterr()
    quick_train(dual, cache=StateCache(), progress=listener)
    assert capfd.readouterr() == ("", "")
    assert set(listener.tasks) == {
        "reading training rows",
        "encoding queries",
        "encoding passages",
        "training",
    }
    for seen in listener.tasks.values():
        assert seen["done"] == seen["total"] > 0
    assert listener.tasks["training"]["notes"][0].startswith("loss ")


def test_an_interrupt_passes_through(build: Build, quick_train: QuickTrain) -> None:
    class Impatient(Listener):
        @contextmanager
        def task(self, description: str, **more: Any) -> Any:
            with super().task(description, **more) as task:
                if description == "training":

                    def stop(count: int = 1) -> None:
                        raise KeyboardInterrupt

                    task.advance = stop
                yield task

    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        quick_train(build(), progress=Impatient())
    assert torch.equal(torch.get_rng_state(), before)


def unscored() -> list[TrainingRow]:
    items = (TrainingItem("a", "river"), TrainingItem("b", "star", 1.0))
    return [TrainingRow(Query("q7", "water"), items)] * 4


@pytest.mark.parametrize(
    ("settings", "changes", "error", "message"),
    [
        ({}, {"steps": None}, UsageError, "either steps or epochs"),
        ({}, {"epochs": 1.0}, UsageError, "either steps or epochs"),
        ({}, {"cache": StateCache()}, ModelError, "frozen encoder"),
        ({}, {"sampling": Sampling(negatives_per_query=3)}, DataError, "1 negatives; 3"),
        ({}, {"some_rows": unscored()}, DataError, r"'q7'\): item 1 has no score"),
        ({}, {"learning_rates": {"*.gaet": 1.0}}, UsageError, "matches no trainable parameter"),
        (
            {"freeze_encoder": True},
            {"cache": StateCache(limit_bytes=10_000)},
            UsageError,
            "would take .* the limit is",
        ),
        (
            {"kind": "bi-encoder", "freeze_encoder": True, "query_projection": None},
            {},
            ModelError,
            "Nothing to train",
        ),
        ({}, {"device": torch.device("cuda:1")}, UsageError, "first visible CUDA device"),
        ({"losses": ()}, {}, ModelError, "no loss"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_step(
    settings: dict[str, Any],
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
    build: Build,
    quick_train: QuickTrain,
) -> None:
    dual = build(**settings)
    before = weights(dual)
    with pytest.raises(error, match=message):
        quick_train(dual, **changes)
    assert all(torch.equal(tensor, before[name]) for name, tensor in dual.state_dict().items())


def test_scores_are_not_needed_without_a_teacher_loss(
    build: Build, quick_train: QuickTrain
) -> None:
    quick_train(build(losses=(("cross_entropy", {}),)), unscored(), steps=1)


def test_a_loss_that_is_not_finite_stops_the_run(build: Build, quick_train: QuickTrain) -> None:
    with pytest.raises(ModelError, match=r"The loss became .* at step \d") as caught:
        quick_train(build(), steps=20, learning_rate=1e30, max_grad_norm=0.0)
    assert "learning_rate" in str(caught.value.hint)


def test_configurations_are_frozen() -> None:
    with pytest.raises(AttributeError):
        TrainingConfig(steps=1).steps = 2  # type: ignore[misc]
