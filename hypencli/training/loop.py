"""Training of a dual encoder on rows of queries and passages."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState

from hypencli.errors import UsageError
from hypencli.evaluation.measures import parse_measures
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
from hypencli.training.callbacks import (
    Checkpoints,
    EpochSampler,
    Point,
    Reporter,
    Stopper,
    Validator,
    best_step,
    points_of,
)
from hypencli.training.config import TrainingConfig
from hypencli.training.data.collator import Collator
from hypencli.training.data.examples import Examples
from hypencli.training.preparation import RunContext, TrainingData, TrainingPreparation
from hypencli.training.process.backbones import adapted_backbones
from hypencli.training.process.checkpoints import (
    WEIGHTS_FILE,
    load_best,
    load_weights,
    newest_checkpoint,
    state_at_the_end,
    step_of,
)
from hypencli.training.process.distributed import is_leader, n_processes, told_by_leader
from hypencli.training.process.randomness import preserved_randomness
from hypencli.training.step import TrainingStep
from hypencli.training.trainer import (
    DualEncoderTrainer,
    gather_weights,
    parameter_groups,
    quiet_transformers,
    refuse_absent_trackers,
)
from hypencli.training.validation import Validation


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """The outcome of a training run.

    Attributes:
        dual: The trained model: the one passed, or a complete copy if FSDP divided that one.
        finished: Whether the run reached its end; otherwise it continues from its checkpoint.
        interrupted: Whether a signal stopped the run.
        signal: The number of the signal, if this process received it.
        steps: Optimiser steps, including those before a resumption.
        seconds: Time of training in this call, after preparation.
        preparation_seconds: Time to tokenise texts and to make cached states.
        final_loss: Mean loss of the last interval of the curves.
        curves: ``(step, name, value)`` of the loss, each single loss, learning rate, gradient norm,
            epoch, and of validation.
        n_rows: The number of training rows.
        best_step: The step of the best weights, which the model has; None if it keeps the last.
        resumed_from: The step from which the run continued; 0 for a new run.
    """

    dual: HypencoderDualEncoder | TextDualEncoder
    finished: bool
    interrupted: bool
    signal: int | None
    steps: int
    seconds: float
    preparation_seconds: float
    final_loss: float
    curves: tuple[Point, ...]
    n_rows: int
    best_step: int | None
    resumed_from: int


def train(
    dual: HypencoderDualEncoder | TextDualEncoder,
    tokenizer: Any,
    data: TrainingData,
    config: TrainingConfig,
    where: RunContext,
) -> TrainingOutcome:
    """Train ``dual`` in place, from the first step or from the newest checkpoint.

    On a CPU, equal models, rows and configurations give bit-equal weights, even if a run is stopped
    and continued. The global random generators of the caller are restored. Every process of a
    launcher calls this function; the processes synchronise in the Trainer.

    Args:
        dual: The model with its losses. Afterwards it is on the device of the configuration, in
            evaluation mode.
        tokenizer: The tokenizer of its backbone.
        data: The training data.
        config: The configuration of the run.
        where: The folders of the run, and its listeners.

    Raises:
        DataError: A row lacks positives, negatives, or the scores that a loss needs.
        MissingDependencyError: A tracker is not installed.
        ModelError: Nothing is trainable, the model has no loss, a cached encoder is not frozen, or
            a loss is not finite.
        UsageError: The configuration contradicts itself, a tracker is unknown, or a cache exceeds
            its limit.
    """
    _refuse_contradictions(config, data)
    started = time.perf_counter()
    step = _checked_step(dual, config).to(config.device)
    # FSDP divides its modules, so the complete model is made from a copy.
    whole = copy.deepcopy(dual) if config.fsdp and is_leader() else dual
    material = _prepare(step, tokenizer, data, config, where)
    prepared_at = time.perf_counter()
    with preserved_randomness(), quiet_transformers(), adapted_backbones(dual, config):
        run = _run(step, material, config, where)
    step.eval()
    if config.fsdp and is_leader() and run.finished:
        load_weights(TrainingStep(whole), where.output_dir)
    return TrainingOutcome(
        dual=whole,
        finished=run.finished,
        interrupted=run.interrupted,
        signal=run.signal,
        steps=run.steps,
        seconds=time.perf_counter() - prepared_at,
        preparation_seconds=prepared_at - started,
        final_loss=_final_loss(run.points),
        curves=tuple(run.points),
        n_rows=len(material.examples),
        best_step=run.best_step,
        resumed_from=run.resumed_from,
    )


def _checked_step(
    dual: HypencoderDualEncoder | TextDualEncoder, config: TrainingConfig
) -> TrainingStep:
    """Return the training step; refuse models that cannot be trained before encoding."""
    step = TrainingStep(
        dual,
        stages=config.stages,
        recompute=config.chunk_size is not None,
        across_processes=config.cross_device_negatives,
    )
    refuse_absent_trackers(config.report_to)
    parameter_groups(step, set(), config)
    return step


@dataclass(frozen=True, slots=True)
class _Material:
    """The inputs of the training steps."""

    examples: Examples
    collator: Collator
    validation: Validation | None


def _prepare(
    step: TrainingStep,
    tokenizer: Any,
    data: TrainingData,
    config: TrainingConfig,
    where: RunContext,
) -> _Material:
    """Prepare arrays of rows, cached states, batches and validation; fit a new head."""
    preparation = TrainingPreparation(step.dual, tokenizer, config, where)
    texts, name = preparation.training_set(data)
    examples = Examples(
        texts.rows, config.sampling, seed=config.seed, with_scores=step.dual.needs_labels
    )
    validation = preparation.validation(step, data.validation)
    collator = preparation.collator(texts, preparation.encoded(texts, name), training=True)
    if config.fitted_head_scale is not None:
        preparation.fit_head(texts, scale=config.fitted_head_scale)
    return _Material(examples, collator, validation)


def _final_loss(points: Sequence[Point]) -> float:
    """Return the last loss of the curves; NaN if there is none."""
    losses = [value for _, name, value in points if name == "loss"]
    return losses[-1] if losses else float("nan")


def _refuse_contradictions(config: TrainingConfig, data: TrainingData) -> None:
    if (config.steps is None) == (config.epochs is None):
        raise UsageError("A training configuration has either steps or epochs.")
    index = config.device.index if config.device.type == "cuda" else None
    if index and n_processes() == 1:
        raise UsageError(
            f"Training on {config.device}: only the first visible CUDA device is used.",
            hint=f"Set CUDA_VISIBLE_DEVICES={index} in the environment, and train on `device=cuda`",
        )
    if (config.validation is None) != (data.validation is None):
        raise UsageError("Validation needs both what is measured and on what.")
    if config.validation is not None:
        parse_measures(config.validation.measures)
    if config.fsdp and config.validation is not None:
        raise UsageError(
            "Validation while weights are divided among devices is not supported.",
            hint="Set training.fsdp = false, or leave out [validation] and measure with hype eval.",
        )


@dataclass(frozen=True, slots=True)
class _Run:
    finished: bool
    interrupted: bool
    signal: int | None
    steps: int
    points: list[Point]
    best_step: int | None
    resumed_from: int


def _run(
    step: TrainingStep, material: _Material, config: TrainingConfig, where: RunContext
) -> _Run:
    checkpoint = newest_checkpoint(where.output_dir) if is_leader() else None
    told: str | None = told_by_leader(None if checkpoint is None else str(checkpoint))
    resumed = None if told is None else Path(told)
    if resumed is not None:
        where.progress.message(f"going on from step {step_of(resumed):,}")
        state = state_at_the_end(resumed)
        if state is not None:  # it stopped after its last step, and the Trainer would make another
            load_weights(step, resumed)
            if config.fsdp and is_leader():
                shutil.copy(resumed / WEIGHTS_FILE, where.output_dir / WEIGHTS_FILE)
            return _result(step, state, config, where, resumed=resumed)
    trainer = DualEncoderTrainer(
        step, material.examples, material.collator, config, output_dir=where.output_dir
    )
    stopper = Stopper(config.max_minutes, where.progress)
    with where.progress.task("training", unit="steps") as task:
        for callback in _callbacks(trainer, step, material.validation, config, where):
            trainer.add_callback(callback)
        trainer.add_callback(stopper)
        trainer.add_callback(Checkpoints(where.output_dir, config.validation))
        trainer.add_callback(Reporter(task, where.on_points))
        with stopper.listening():
            trainer.train(resume_from_checkpoint=told)
    stopper.agree()
    stopped = stopper.interrupted or stopper.out_of_time
    if config.fsdp and not stopped:
        gather_weights(trainer, where.output_dir)
    run = _result(step, trainer.state, config, where, resumed=resumed, whole=not stopped)
    return replace(run, interrupted=stopper.interrupted, signal=stopper.signal)


def _callbacks(
    trainer: DualEncoderTrainer,
    step: TrainingStep,
    validation: Validation | None,
    config: TrainingConfig,
    where: RunContext,
) -> Iterator[TrainerCallback]:
    """Yield the callbacks that must run before the one that may stop the run."""
    yield EpochSampler(trainer.order, step)
    if config.validation is not None and validation is not None:
        yield Validator(
            config.validation,
            validation.measure,
            trainer.log,
            output_dir=where.output_dir,
            progress=where.progress,
        )


def _result(
    step: TrainingStep,
    state: TrainerState,
    config: TrainingConfig,
    where: RunContext,
    *,
    resumed: Path | None,
    whole: bool = True,
) -> _Run:
    """Return the outcome of a run; load the best weights if it reached its end."""
    best = best_step(state.log_history, config.validation)
    if whole and best is not None:
        load_best(step, where.output_dir, number=best)
    return _Run(
        finished=whole,
        interrupted=False,
        signal=None,
        steps=state.global_step,
        points=[point for log in state.log_history for point in points_of(log)],
        best_step=best,
        resumed_from=0 if resumed is None else step_of(resumed),
    )
