"""A run that was stopped and taken up again ends with the weights of one that never stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hypencli.training import Sampling, StateCache, TrainingOutcome, ValidationConfig
from hypencli.training.process.checkpoints import MARKER_FILE, newest_checkpoint

Build = Callable[..., Any]
QuickTrain = Callable[..., TrainingOutcome]

# 96 rows in batches of 8, two a step: six steps an epoch, so that step 7 is in the second one.
LONG: dict[str, Any] = {
    "steps": None,
    "epochs": 2.0,
    "batch_size": 8,
    "gradient_accumulation": 2,
    "schedule": "linear",
    "warmup_steps": 2,
    "logging_steps": 5,
    "save_steps": 1_000,
    "sampling": Sampling(negatives_per_query=1, random_negatives=4),
}


class At:
    """Does something when a training has made so many steps."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self._step, self._act = step, act

    @contextmanager
    def task(self, description: str, **_: Any) -> Any:
        done, outer = 0, self

        class SearchTask:
            def advance(self, count: int = 1) -> None:
                nonlocal done
                done += count
                if description == "training" and done == outer._step:
                    outer._act()

            def set_total(self, total: int) -> None: ...

            def note(self, text: str) -> None: ...

        yield SearchTask()

    def message(self, text: str) -> None: ...


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Killed(Exception):
    """Stands for a kill: nothing is written after it."""


def kill() -> None:
    raise Killed


def points(outcome: TrainingOutcome) -> dict[tuple[int, str], float]:
    return {(step, name): value for step, name, value in outcome.curves}


@pytest.mark.parametrize("kind", ["hypencoder", "warm-start", "bi-encoder"])
@pytest.mark.parametrize(("step", "stop"), [(1, interrupt), (4, terminate), (6, interrupt)])
def test_interrupted_and_resumed_equals_uninterrupted(
    kind: str,
    step: int,
    stop: Callable[[], None],
    build: Build,
    quick_train: QuickTrain,
    tmp_path: Path,
) -> None:
    whole, parts = build(kind, dropout=True), build(kind, dropout=True)
    uninterrupted = quick_train(whole, **LONG)
    work = tmp_path / "stopped"
    first = quick_train(parts, output_dir=work, progress=At(step, stop), **LONG)
    assert (first.finished, first.interrupted) == (False, True)
    # The signal comes while a step ends, and counts at the end of the next one.
    assert first.steps == step + 1
    again = build(kind, dropout=True)
    second = quick_train(again, output_dir=work, **LONG)
    assert (second.finished, second.resumed_from, second.steps) == (True, step + 1, 12)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    wanted, actual = points(uninterrupted), points(second)
    assert wanted[12, "loss"] == pytest.approx(actual[12, "loss"], rel=1e-6)
    assert {key for key in wanted if key not in actual} == set()


def test_two_interruptions_in_two_epochs(
    build: Build, quick_train: QuickTrain, tmp_path: Path
) -> None:
    whole = build(dropout=True)
    quick_train(whole, **LONG)
    for step in (2, 6):  # of each call: steps 3 and 10 of the run
        quick_train(
            build(dropout=True), output_dir=tmp_path / "w", progress=At(step, interrupt), **LONG
        )
    last = build(dropout=True)
    outcome = quick_train(last, output_dir=tmp_path / "w", **LONG)
    assert outcome.finished
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, last.state_dict()[name]), name


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    build: Build, quick_train: QuickTrain, tmp_path: Path
) -> None:
    settings = {**LONG, "save_steps": 3}
    whole, work = build(dropout=True), tmp_path / "killed"
    quick_train(whole, **settings)
    with pytest.raises(Killed):
        quick_train(build(dropout=True), output_dir=work, progress=At(8, kill), **settings)
    assert [path.name for path in work.glob("checkpoint-*")] == ["checkpoint-6"]
    again = build(dropout=True)
    assert quick_train(again, output_dir=work, **settings).resumed_from == 6
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_a_torn_checkpoint_is_not_used(
    build: Build, quick_train: QuickTrain, tmp_path: Path
) -> None:
    work = tmp_path / "torn"
    quick_train(build(), output_dir=work, progress=At(3, interrupt), **LONG)
    whole = newest_checkpoint(work)
    assert whole == work / "checkpoint-4"
    (whole / "optimizer.pt").write_bytes(b"half")
    torn = work / "checkpoint-9"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"")
    outcome = quick_train(build(), output_dir=work, **LONG)
    assert (outcome.resumed_from, outcome.steps) == (0, 12)
    assert not torn.exists()


def test_nothing_counts_without_its_marker(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-3"
    folder.mkdir()
    (folder / MARKER_FILE).write_text('{"model.safetensors": 5}')
    assert newest_checkpoint(tmp_path) is None
    assert not folder.exists()


def test_time_is_up(build: Build, quick_train: QuickTrain, tmp_path: Path) -> None:
    work = tmp_path / "late"
    first = quick_train(build(), output_dir=work, max_minutes=1e-9, **LONG)
    assert (first.finished, first.interrupted, first.steps) == (False, False, 1)
    second = quick_train(build(), output_dir=work, max_minutes=1e9, **LONG)
    assert (second.finished, second.resumed_from) == (True, 1)


def test_best_weights_survive_an_interruption(
    build: Build, quick_train: QuickTrain, tmp_path: Path, rows: list[Any]
) -> None:
    from hypencli.training import HeldOutRows

    settings = {
        **LONG,
        "cache": StateCache(),
        "validation": HeldOutRows(key="held-out", rows=rows[:24]),
        "validating": ValidationConfig(every_steps=2, best="nDCG@10", measures=("nDCG@10",)),
        # The first steps are the best: what is kept has to last through both runs.
        "learning_rate": 0.5,
    }
    whole, work = build(freeze_encoder=True), tmp_path / "best"
    outcome = quick_train(whole, **settings)
    quick_train(build(freeze_encoder=True), output_dir=work, progress=At(6, interrupt), **settings)
    again = build(freeze_encoder=True)
    resumed = quick_train(again, output_dir=work, **settings)
    assert resumed.best_step == outcome.best_step
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
