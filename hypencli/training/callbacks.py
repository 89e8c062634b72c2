"""Trainer callbacks between the steps of a run: curves, validation, checkpoints, stopping."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hypencli.progress import Progress, Task
from hypencli.signals import handle_signals
from hypencli.training.config import ValidationConfig
from hypencli.training.data.sampling import RowOrder
from hypencli.training.process.checkpoints import (
    mark_complete,
    remove_older,
    remove_other_best,
    save_best,
)
from hypencli.training.process.distributed import any_process, is_leader, wait_for_all
from hypencli.training.step import TrainingStep

Point: TypeAlias = tuple[int, str, float]
"""``(step, name, value)`` of a curve."""

VALIDATION = "validation."
"""The prefix of the names of validation points."""

_ABOUT_THE_WHOLE = frozenset(("train_runtime", "total_flos"))


def points_of(log: Mapping[str, float]) -> list[Point]:
    """Return the points of one entry of the Trainer log, the loss first, then by name.

    The order of the Trainer itself changes after a resumption. Its final summary has no points.
    """
    if not _ABOUT_THE_WHOLE.isdisjoint(log):
        return []
    step = int(log["step"])
    validated = [name for name in log if name.startswith(VALIDATION)]
    names = validated or [name for name in log if name != "step"]
    names.sort(key=lambda name: (name != "loss", name))
    return [(step, name, float(log[name])) for name in names]


class Reporter(TrainerCallback):
    """A callback that reports every point to the caller, and every step to the progress bar.

    Args:
        task: The progress bar.
        on_points: Called with new points.
    """

    def __init__(self, task: Task, on_points: Callable[[Iterable[Point]], None]) -> None:
        self._task, self._on_points = task, on_points

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Set the total and the completed steps of the bar, which the Trainer knows by now."""
        self._task.set_total(state.max_steps)
        self._task.advance(state.global_step)
        if is_leader():
            self._on_points(point for log in state.log_history for point in points_of(log))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Advance the bar; log the last step at any logging interval."""
        self._task.advance()
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Report the points of the newest entry of the log."""
        points = points_of(state.log_history[-1])
        if is_leader():
            self._on_points(points)
        for _step, name, value in points:
            if name == "loss" or name.startswith(VALIDATION):
                self._task.note(f"{name.removeprefix(VALIDATION)} {value:.4f}")


class EpochSampler(TrainerCallback):
    """A callback that sets the epoch of the row order and the step of the stages.

    It also works for a run that continues from a checkpoint.

    Args:
        order: The row order.
        step: The training step.
    """

    def __init__(self, order: RowOrder, step: TrainingStep) -> None:
        self._order, self._step = order, step

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Set the epoch as a whole number; after a resumption, the Trainer has a fraction."""
        self._order.set_epoch(int(state.epoch or 0))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Set the number of the optimiser step, on which stages depend."""
        self._step.number = state.global_step


class Checkpoints(TrainerCallback):
    """A callback that marks each checkpoint as complete and deletes the one before.

    Args:
        output_dir: The folder of checkpoints.
        validation: Settings that decide which best weights are kept.
    """

    def __init__(self, output_dir: Path, validation: ValidationConfig | None) -> None:
        self._output_dir, self._validation = output_dir, validation

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Log a point at each checkpoint, so that a resumption changes no point of the curves."""
        if control.should_save:
            control.should_log = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Wait until all processes have written their parts, then mark the checkpoint."""
        wait_for_all()
        if not is_leader():
            return
        folder = self._output_dir / f"checkpoint-{state.global_step}"
        mark_complete(folder)
        remove_older(self._output_dir, keep=folder)
        remove_other_best(self._output_dir, keep=best_step(state.log_history, self._validation))


class Validator(TrainerCallback):
    """A callback that validates at intervals, keeps the best weights, and stops early.

    Args:
        config: Settings of validation.
        measure: Returns the values by name.
        log: The log function of the Trainer.
        output_dir: The folder for the best weights.
        progress: Receives the progress.
    """

    def __init__(
        self,
        config: ValidationConfig,
        measure: Callable[[], Mapping[str, float]],
        log: Callable[[dict[str, float]], None],
        *,
        output_dir: Path,
        progress: Progress,
    ) -> None:
        self._config, self._measure, self._log = config, measure, log
        self._output_dir, self._progress = output_dir, progress

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **_: Any,
    ) -> None:
        """Validate before the checkpoint of this step, so that the checkpoint includes it."""
        last = state.global_step >= state.max_steps
        if not last and state.global_step % self._config.every_steps:
            return
        values = self._measure()
        due = control.should_log
        self._log({f"{VALIDATION}{name}": value for name, value in values.items()})
        control.should_log = due  # the loss of this step is not logged yet
        shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        self._progress.message(f"step {state.global_step:,}: validation {shown}")
        best = best_step(state.log_history, self._config)
        if best == state.global_step and is_leader() and model is not None:
            save_best(model, self._output_dir, number=best)
        if best is not None and self._config.patience is not None:
            since = [step for step, _ in _validations(state.log_history, self._config)]
            if sum(step > best for step in since) >= self._config.patience:
                self._progress.message(
                    f"stopped at step {state.global_step:,}: no better {self._config.best} in "
                    f"{self._config.patience} validations"
                )
                control.should_training_stop = control.should_log = True


def best_step(log: Iterable[Mapping[str, float]], config: ValidationConfig | None) -> int | None:
    """Return the step of the best validation so far, the first of equals, or None."""
    if config is None or config.best is None:
        return None
    sign = -1 if config.best == "loss" else 1
    validations = list(_validations(log, config))
    return max(validations, key=lambda one: (sign * one[1], -one[0]))[0] if validations else None


def _validations(
    log: Iterable[Mapping[str, float]], config: ValidationConfig
) -> Iterator[tuple[int, float]]:
    """Yield the step and the value of the deciding measure of each validation."""
    name = f"{VALIDATION}{config.best}"
    for entry in log:
        if name in entry:
            yield int(entry["step"]), float(entry[name])


class Stopper(TrainerCallback):
    """A callback that ends a run after a step, with a checkpoint, on a signal or a time limit.

    Args:
        max_minutes: The time limit in minutes; None for no limit.
        progress: Receives messages.

    Attributes:
        interrupted: Whether a signal asked to stop.
        signal: The number of the signal, if this process received it.
        out_of_time: Whether the time limit was reached.
    """

    def __init__(self, max_minutes: float | None, progress: Progress) -> None:
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._progress = progress
        self.interrupted = False
        self.signal: int | None = None
        self.out_of_time = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop all processes at one step if one of them should stop."""
        if state.global_step >= state.max_steps or control.should_training_stop:
            return
        late = self._deadline is not None and time.monotonic() >= self._deadline
        self.interrupted = any_process(self.interrupted)
        self.out_of_time = any_process(late)
        if self.interrupted or self.out_of_time:
            control.should_save = control.should_log = control.should_training_stop = True

    def agree(self) -> None:
        """Share a signal that one process received after the last step with all processes."""
        self.interrupted = any_process(self.interrupted)

    def listening(self) -> AbstractContextManager[None]:
        """Return a context in which a signal stops the run; a second Ctrl-C ends the process."""
        return handle_signals(self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.interrupted, self.signal = True, number
        self._progress.message("Stopping after this step with a checkpoint; Ctrl-C again: now.")
