"""What happens between the steps of a run: curves, validation, checkpoints, stopping in time."""

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
"""What names of validation points begin with."""

_ABOUT_THE_WHOLE = frozenset(("train_runtime", "total_flos"))


def points_of(log: Mapping[str, float]) -> list[Point]:
    """The points of one entry of the Trainer's log, the loss first, then by name.

    The Trainer's own order is another one after a resumption. Its summary at the end has none.
    """
    if not _ABOUT_THE_WHOLE.isdisjoint(log):
        return []
    step = int(log["step"])
    validated = [name for name in log if name.startswith(VALIDATION)]
    names = validated or [name for name in log if name != "step"]
    names.sort(key=lambda name: (name != "loss", name))
    return [(step, name, float(log[name])) for name in names]


class Reporter(TrainerCallback):
    """Tells the caller of every point as it is made, and the bar of every step.

    Args:
        task: The bar.
        on_points: Told of points.
    """

    def __init__(self, task: Task, on_points: Callable[[Iterable[Point]], None]) -> None:
        self._task, self._on_points = task, on_points

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The Trainer knows by now how many steps there are, and what was done before."""
        self._task.set_total(state.max_steps)
        self._task.advance(state.global_step)
        if is_leader():
            self._on_points(point for log in state.log_history for point in points_of(log))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The last step is a point of the curves whatever the interval."""
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
        """The last entry of the log is the new one."""
        points = points_of(state.log_history[-1])
        if is_leader():
            self._on_points(points)
        for _step, name, value in points:
            if name == "loss" or name.startswith(VALIDATION):
                self._task.note(f"{name.removeprefix(VALIDATION)} {value:.4f}")


class EpochSampler(TrainerCallback):
    """Keeps row order and stages in step with the Trainer, also where a run goes on.

    Args:
        order: The row order.
        step: The training step.
    """

    def __init__(self, order: RowOrder, step: TrainingStep) -> None:
        self._order, self._step = order, step

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Epochs are counted in whole passes: after a resumption the Trainer's is a fraction."""
        self._order.set_epoch(int(state.epoch or 0))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stages go by the number of the optimiser step."""
        self._step.number = state.global_step


class Checkpoints(TrainerCallback):
    """Marks each checkpoint as whole and deletes what it replaces.

    Args:
        output_dir: Where checkpoints are.
        validation: What decides which best weights are kept.
    """

    def __init__(self, output_dir: Path, validation: ValidationConfig | None) -> None:
        self._output_dir, self._validation = output_dir, validation

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """A checkpoint begins a new interval of the curves, so that resuming changes no point."""
        if control.should_save:
            control.should_log = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Every process has written its part by now, or will before the marker is set."""
        wait_for_all()
        if not is_leader():
            return
        folder = self._output_dir / f"checkpoint-{state.global_step}"
        mark_complete(folder)
        remove_older(self._output_dir, keep=folder)
        remove_other_best(self._output_dir, keep=best_step(state.log_history, self._validation))


class Validator(TrainerCallback):
    """Measures at intervals, keeps the best weights, and stops where nothing gets better.

    Args:
        config: When, and what follows.
        measure: Gives the values by name.
        log: The Trainer's.
        output_dir: Where the best weights are kept.
        progress: Listens.
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
        """Measured before the checkpoint of the same step, which then knows of it."""
        last = state.global_step >= state.max_steps
        if not last and state.global_step % self._config.every_steps:
            return
        values = self._measure()
        due = control.should_log
        self._log({f"{VALIDATION}{name}": value for name, value in values.items()})
        control.should_log = due  # the loss of this step is still to be told
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
    """The step of the best validation so far; the first of equals; None where none is sought."""
    if config is None or config.best is None:
        return None
    sign = -1 if config.best == "loss" else 1
    validations = list(_validations(log, config))
    return max(validations, key=lambda one: (sign * one[1], -one[0]))[0] if validations else None


def _validations(
    log: Iterable[Mapping[str, float]], config: ValidationConfig
) -> Iterator[tuple[int, float]]:
    """Step and value of the measure that decides."""
    name = f"{VALIDATION}{config.best}"
    for entry in log:
        if name in entry:
            yield int(entry["step"]), float(entry[name])


class Stopper(TrainerCallback):
    """Ends a run between two steps, with a checkpoint, when it is interrupted or its time is up.

    Args:
        max_minutes: The time.

    Attributes:
        interrupted: Whether a signal asked for it.
        signal: Which one, where this process got it.
        out_of_time: Whether the time was up.
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
        """All processes stop at the same step."""
        if state.global_step >= state.max_steps or control.should_training_stop:
            return
        late = self._deadline is not None and time.monotonic() >= self._deadline
        self.interrupted = any_process(self.interrupted)
        self.out_of_time = any_process(late)
        if self.interrupted or self.out_of_time:
            control.should_save = control.should_log = control.should_training_stop = True

    def agree(self) -> None:
        """After the last step: a signal that came to one process since then counts in all."""
        self.interrupted = any_process(self.interrupted)

    def listening(self) -> AbstractContextManager[None]:
        """Take a signal as a wish to stop; a second Ctrl-C ends the process at once."""
        return handle_signals(self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.interrupted, self.signal = True, number
        self._progress.message("Stopping after this step with a checkpoint; Ctrl-C again: now.")
