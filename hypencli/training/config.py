"""How a model is trained: every choice, with no default that a recipe would hide."""

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
    """How a training row becomes one positive and ``negatives_per_query`` negatives.

    Attributes:
        positives: Which items are relevant: the first, those of ``positive_type``, or those that
            score above ``positive_score``. One of them is drawn.
        positive_type: With ``type``.
        positive_score: With ``score_above``.
        negatives_per_query: How many of the other items are drawn, without replacement.
        too_few_negatives: Rows with fewer: refuse, draw some twice, or leave the row out.
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
    """What a frozen encoder gives for every text, kept on disk and mapped.

    Attributes:
        dtype: Of token states: float32, or float16 for half the room.
        limit_bytes: A larger cache is refused before anything is encoded.
    """

    dtype: torch.dtype = torch.float32
    limit_bytes: int = 4 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The steps in which a loss counts.

    Attributes:
        first: The first of them.
        stop: The first step after them; None never comes.
    """

    first: int = 0
    stop: int | None = None

    def holds(self, step: int) -> bool:
        """Whether the loss counts at this step."""
        return self.first <= step and (self.stop is None or step < self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationConfig:
    """What is measured while training, and what follows from it.

    Attributes:
        every_steps: Steps between two validations; one more comes after the last step.
        measures: Names of ``ir_measures``.
        best: The measure, or ``loss``, whose best weights are kept; None keeps the last.
        patience: Stop after so many validations without a new best.
    """

    every_steps: int = 500
    measures: tuple[str, ...] = ("nDCG@10",)
    best: str | None = None
    patience: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """One training run; exactly one of ``steps`` and ``epochs`` is given.

    Attributes:
        steps: Optimiser steps.
        epochs: Passes over the rows.
        batch_size: Queries in a batch on each device.
        gradient_accumulation: Batches in a step.
        learning_rate: Peak rate of AdamW (betas 0.9 and 0.999, eps 1e-8).
        learning_rates: Peak rates by parameter name pattern (``*``, ``?``), first match first.
        schedule: What the rate does after the warm-up.
        warmup_steps: Steps of warm-up.
        warmup_ratio: The same as a part of all steps.
        weight_decay: Not applied to biases and norms.
        max_grad_norm: Gradients are clipped to this norm; 0 never.
        mixed_bfloat16: Whether the forward pass runs in bfloat16.
        seed: Of row order, sampling and dropout.
        query_max_length: Tokens a query is cut to.
        passage_max_length: Tokens a passage is cut to.
        sampling: How rows become examples.
        cache: Encode once, then train from memory; needs a frozen encoder.
        fitted_head_scale: Fit a new hyper-head before the first step, so that its q-nets rank as
            inner products with pooled queries do, times this; None leaves the head as it is.
        stages: When each loss of the model counts; none given: all of them, always.
        chunk_size: Texts that the encoder holds activations of at once, each chunk being computed
            again in the backward pass; None holds those of the whole batch.
        activation_checkpointing: Keep no activations between layers.
        compile: Compile the encoder.
        cross_device_negatives: In-batch losses count the passages of all devices.
        fsdp: Divide weights and optimiser among the devices.
        workers: Processes that make batches, besides this one.
        save_steps: Steps between two checkpoints.
        max_minutes: Stop with a checkpoint after so long.
        report_to: Trackers of the Trainer.
        validation: What is measured meanwhile, if anything.
        logging_steps: Steps between two points of the curves.
        device: Where to train.
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
