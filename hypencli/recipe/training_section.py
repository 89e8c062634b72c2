"""``[training]`` and ``[validation]``: schedule, optimiser, and validation during training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hypencli.recipe.section import NOT_IDENTITY, Section


class TrainingSection(Section):
    """``[training]``: the schedule, the optimiser and the seed."""

    steps: int | None = Field(None, ge=1, description="optimiser steps, in place of epochs")
    epochs: float | None = Field(None, gt=0, description="passes over the training rows")
    batch_size: int = Field(32, ge=1, description="queries in a step on each device")
    gradient_accumulation: int = Field(1, ge=1, description="batches summed into one step")
    learning_rate: float = Field(2e-5, gt=0, description="peak learning rate of AdamW")
    learning_rates: dict[str, float] = Field(
        default_factory=dict,
        description="peak learning rates of some parameters: name pattern (* and ?) = rate; the "
        "first that matches is taken",
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear",
        description="the rate after the warm-up: falls to 0 on a line or a cosine, or stays",
    )
    warmup_steps: int = Field(0, ge=0, description="steps in which the rate rises from 0")
    warmup_ratio: float = Field(
        0.0, ge=0, lt=1, description="the same as a part of all steps, in place of warmup_steps"
    )
    weight_decay: float = Field(
        0.0, ge=0, description="AdamW weight decay, not on biases and norms"
    )
    chunk_size: int | None = Field(
        None,
        ge=1,
        description="texts that the encoder holds activations of at once: a batch of any size "
        "fits, each chunk is computed twice; none: the whole batch at once",
    )
    activation_checkpointing: bool = Field(
        False, description="keep no activations between layers: less memory, more computing"
    )
    compile: bool = Field(False, description="compile the encoder with torch.compile")
    cross_device_negatives: bool = Field(
        False,
        description="on several devices, in-batch cross-entropy counts the passages of all",
    )
    fsdp: bool = Field(
        False, description="on several devices, divide weights and optimiser among them (FSDP)"
    )
    max_grad_norm: float = Field(1.0, ge=0, description="clip the gradient at this norm; 0: never")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="arithmetic of the forward pass (weights stay float32)"
    )
    seed: int = Field(
        42, ge=0, lt=2**32, description="of initialisation, row order, sampling and dropout"
    )
    cache_encoder: bool = Field(
        False, description="frozen encoder only: encode every text once, then train from memory"
    )
    cache_dtype: Literal["float16", "float32"] = Field(
        "float32", description="how cached states are kept; float16 takes half the memory"
    )
    cache_limit_gb: float = Field(
        4.0, gt=0, description="refuse a cache above so many GB (10^9 bytes)"
    )
    logging_steps: int = Field(
        10,
        ge=1,
        description="steps between two points of the training curves",
        json_schema_extra=NOT_IDENTITY,
    )
    save_steps: int = Field(
        500,
        ge=1,
        description="steps between two checkpoints, from which an interrupted run goes on",
        json_schema_extra=NOT_IDENTITY,
    )
    max_minutes: float | None = Field(
        None,
        gt=0,
        description="stop with a checkpoint after so long; the same command goes on from there",
        json_schema_extra=NOT_IDENTITY,
    )
    report_to: tuple[str, ...] = Field(
        (),
        strict=False,
        description="trackers of the Trainer besides the store: tensorboard, wandb, ...",
        json_schema_extra=NOT_IDENTITY,
    )
    device: str = Field(
        "auto",
        min_length=1,
        description="auto, cpu, cuda, cuda:1, mps",
        json_schema_extra=NOT_IDENTITY,
    )

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSection:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs ('none' clears an inherited one)")
        if self.warmup_steps and self.warmup_ratio:
            raise ValueError("give warmup_steps or warmup_ratio, not both")
        if any(rate < 0 for rate in self.learning_rates.values()):
            raise ValueError("learning_rates: every rate is at least 0")
        return self


class ValidationSection(Section):
    """``[validation]``: measures during training, and their effect on it."""

    rows: str | None = Field(
        None,
        min_length=1,
        description="rows in the form of the training rows: their loss, and retrieval of the "
        "positives among all passages of the file",
        json_schema_extra=NOT_IDENTITY,
    )
    split: str = Field(
        "validation",
        min_length=1,
        description="of a folder or dataset with several splits, the one to validate on",
        json_schema_extra=NOT_IDENTITY,
    )
    queries: str | None = Field(
        None,
        min_length=1,
        description="query set to search a corpus with, in place of rows: what hype search takes",
        json_schema_extra=NOT_IDENTITY,
    )
    corpus: str | None = Field(
        None,
        min_length=1,
        description="the corpus of those queries; it is encoded at every validation",
        json_schema_extra=NOT_IDENTITY,
    )
    qrels: str | None = Field(
        None,
        min_length=1,
        description="judgements of those queries; none: the query set's own",
        json_schema_extra=NOT_IDENTITY,
    )
    every_steps: int = Field(500, ge=1, description="steps between two validations")
    measures: tuple[str, ...] = Field(
        ("nDCG@10", "RR@10", "R@100"),
        strict=False,
        description="what is measured, in the names of ir_measures",
    )
    best: str | None = Field(
        None,
        min_length=1,
        description="the measure, or loss, whose best checkpoint becomes the model; none: the "
        "last weights do",
    )
    patience: int | None = Field(
        None, ge=1, description="stop after so many validations without a new best"
    )

    @model_validator(mode="after")
    def _parts_agree(self) -> ValidationSection:
        if self.rows is None and (self.queries is None or self.corpus is None):
            raise ValueError("give rows, or queries and corpus")
        if self.rows is not None and (self.queries or self.corpus or self.qrels):
            raise ValueError("give rows, or queries and corpus, not both")
        if self.patience is not None and self.best is None:
            raise ValueError("patience needs best: the measure that must improve")
        if self.best == "loss" and self.rows is None:
            raise ValueError("best = 'loss' needs rows: a query set has no loss")
        if self.best is not None and self.best not in ("loss", *self.measures):
            raise ValueError(f"best = {self.best!r} is neither loss nor among measures")
        return self
