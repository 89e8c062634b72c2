"""The configuration of a training run, with all its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch

Positives = Literal["first", "type", "score_above"]
TooFewNegatives = Literal["error", "repeat", "skip"]
Schedule = Literal["linear", "cosine", "constant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Settings by which a row gives one positive and ``negatives_per_query`` negatives.

    Attributes:
        positives: The rule for relevant items: the first, those of ``positive_type``, or those with
            a score above ``positive_score``. One of them is drawn.
        positive_type: The type of relevant items, for the rule ``type``.
        positive_score: The score that relevant items exceed, for the rule ``score_above``.
        negatives_per_query: The number of other items that are drawn without replacement.
        too_few_negatives: For rows with fewer: refuse, draw some twice, or skip the row.
        random_negatives: Passages drawn at random for each batch, shared by its queries.
    """

    positives: Positives = "first"
    positive_type: str = "positive"
    positive_score: float = 0.0
    negatives_per_query: int = 7
    too_few_negatives: TooFewNegatives = "error"
    random_negatives: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCache:
    """Settings of the cache of frozen encoder outputs, which is kept on disk and mapped.

    Attributes:
        dtype: Dtype of token states: float32, or float16 for half the size.
        limit_bytes: Largest size; a larger cache is refused before anything is encoded.
    """

    dtype: torch.dtype = torch.float32
    limit_bytes: int = 4 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The range of steps in which a loss counts.

    Attributes:
        first: The first step.
        stop: The first step after the range; None for no end.
    """

    first: int = 0
    stop: int | None = None

    def holds(self, step: int) -> bool:
        """Return whether the loss counts at this step."""
        return self.first <= step and (self.stop is None or step < self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationConfig:
    """Settings of validation during training.

    Attributes:
        every_steps: Steps between two validations; another one follows the last step.
        measures: Names of ``ir_measures``.
        best: The measure, or ``loss``, whose best weights are kept; None keeps the last weights.
        patience: Number of validations without a new best after which training stops.
    """

    every_steps: int = 500
    measures: tuple[str, ...] = ("nDCG@10",)
    best: str | None = None
    patience: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Settings of one training run; exactly one of ``steps`` and ``epochs`` is set.

    Attributes:
        steps: Optimiser steps.
        epochs: Passes over the rows.
        batch_size: Queries in a batch on each device.
        gradient_accumulation: Batches in a step.
        learning_rate: Peak rate of AdamW (betas 0.9 and 0.999, eps 1e-8).
        learning_rates: Peak rates by parameter name pattern (``*``, ``?``), first match first.
        schedule: The learning rate schedule after the warm-up.
        warmup_steps: Steps of warm-up.
        warmup_ratio: Warm-up as a share of all steps.
        weight_decay: Weight decay, except for biases and norms.
        max_grad_norm: Gradients are clipped to this norm; 0 means no clipping.
        mixed_bfloat16: Whether the forward pass runs in bfloat16.
        seed: Seed of row order, sampling and dropout.
        query_max_length: Most tokens of a query; longer ones are cut.
        passage_max_length: Most tokens of a passage; longer ones are cut.
        sampling: Settings that turn rows into examples.
        cache: Settings to encode once and train from the cache; needs a frozen encoder.
        fitted_head_scale: Fit a new hyper-head before the first step, so that its q-nets score
            like this factor times inner products with pooled queries; None does not fit it.
        stages: The steps in which each loss counts; empty means that all always count.
        chunk_size: Texts whose activations the encoder holds at once. The backward pass computes
            each chunk again. None holds the activations of the whole batch.
        activation_checkpointing: Whether layers compute activations again in the backward pass.
        compile: Whether to compile the encoder.
        cross_device_negatives: Whether in-batch losses use the passages of all devices.
        fsdp: Whether to divide weights and optimiser state among the devices.
        workers: Number of further processes that make batches.
        save_steps: Steps between two checkpoints.
        max_minutes: Minutes after which training stops with a checkpoint; None for no limit.
        report_to: Experiment trackers of the Trainer.
        validation: Settings of validation, or None.
        logging_steps: Steps between two points of the curves.
        device: The device of training.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 32
    gradient_accumulation: int = 1
    learning_rate: float = 2e-5
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    schedule: Schedule = "linear"
    warmup_steps: int = 0
    warmup_ratio: float = 0.0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    mixed_bfloat16: bool = False
    seed: int = 42
    query_max_length: int = 64
    passage_max_length: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    cache: StateCache | None = None
    fitted_head_scale: float | None = None
    stages: tuple[Stage, ...] = ()
    chunk_size: int | None = None
    activation_checkpointing: bool = False
    compile: bool = False
    cross_device_negatives: bool = False
    fsdp: bool = False
    workers: int = 0
    save_steps: int = 500
    max_minutes: float | None = None
    report_to: tuple[str, ...] = ()
    validation: ValidationConfig | None = None
    logging_steps: int = 10
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
