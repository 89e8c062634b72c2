"""Training of a dual encoder on rows of queries and passages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypencli.errors import UsageError
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
from hypencli.progress import SILENT, Progress
from hypencli.records import TrainingRow
from hypencli.training.cache import (
    cache_embeddings,
    cache_query_states,
    refuse_beyond_limit,
    refuse_unfrozen,
)
from hypencli.training.collator import Collator
from hypencli.training.config import TrainingConfig
from hypencli.training.examples import Examples, Texts, collect_texts
from hypencli.training.randomness import preserved_randomness
from hypencli.training.step import TrainingStep
from hypencli.training.tables import TokenTable
from hypencli.training.trainer import (
    Curves,
    DualEncoderTrainer,
    parameter_groups,
    quiet_transformers,
)


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What a training run did; the model it trained is the one that it was given.

    Attributes:
        steps: Optimiser steps.
        seconds: Of training, after texts were tokenised and cached states were made.
        preparation_seconds: Of that.
        final_loss: Mean loss since the last point of the curves but one.
        curves: ``(step, name, value)`` of the loss, each single loss, learning rate, gradient norm
            and epoch.
        n_rows: Rows that were trained on.
    """

    steps: int
    seconds: float
    preparation_seconds: float
    final_loss: float
    curves: tuple[tuple[int, str, float], ...]
    n_rows: int


def train(
    dual: HypencoderDualEncoder | TextDualEncoder,
    tokenizer: Any,
    rows: Sequence[TrainingRow],
    config: TrainingConfig,
    *,
    output_dir: Path,
    pool: Sequence[str] | None = None,
    progress: Progress = SILENT,
) -> TrainingOutcome:
    """Train ``dual`` in place.

    The same model, rows and configuration give the same weights, bit for bit on a CPU. The global
    random generators of the caller are as they were afterwards.

    Args:
        dual: The model with its losses; left on the device of the configuration, in training mode
            off.
        tokenizer: Of its backbone.
        rows: The training set.
        config: Everything else.
        output_dir: Work area of the Trainer.
        pool: Passages that random negatives are drawn from; None for those of the rows.
        progress: Listens.

    Raises:
        DataError: Rows without positives, with too few negatives, or without the scores that a loss
            needs.
        ModelError: Nothing to train, no loss, a cache of an encoder that is trained, or a loss that
            is not finite.
        UsageError: A configuration that contradicts itself, or a cache beyond its limit.
    """
    _refuse_contradictions(config)
    started = time.perf_counter()
    step = TrainingStep(dual)
    parameter_groups(step, set(), config)  # refuses what cannot be trained before hours of encoding
    texts = collect_texts(rows, pool)
    examples = Examples(
        rows, texts, config.sampling, seed=config.seed, with_scores=step.needs_labels
    )
    step.to(config.device)
    collator = _collator(dual, tokenizer, texts, config, progress)
    prepared = time.perf_counter()
    with preserved_randomness(), quiet_transformers():
        points = _run(step, examples, collator, config, output_dir, progress)
    step.eval()
    losses = [(number, value) for number, name, value in points if name == "loss"]
    return TrainingOutcome(
        steps=losses[-1][0],
        seconds=time.perf_counter() - prepared,
        preparation_seconds=prepared - started,
        final_loss=losses[-1][1],
        curves=tuple(points),
        n_rows=len(examples),
    )


def _refuse_contradictions(config: TrainingConfig) -> None:
    if (config.steps is None) == (config.epochs is None):
        raise UsageError("A training configuration has either steps or epochs.")
    if config.device.type == "cuda" and config.device.index not in (None, 0):
        raise UsageError(
            f"Training on {config.device}: only the first visible CUDA device is used.",
            hint=f"CUDA_VISIBLE_DEVICES={config.device.index} hype train ... --device cuda",
        )


def _run(
    step: TrainingStep,
    examples: Examples,
    collator: Collator,
    config: TrainingConfig,
    output_dir: Path,
    progress: Progress,
) -> list[tuple[int, str, float]]:
    with progress.task("training", unit="steps") as task:
        trainer = DualEncoderTrainer(step, examples, collator, config, output_dir=output_dir)
        curves = Curves(task)
        trainer.add_callback(curves)
        trainer.train()
    return curves.points


def _collator(
    dual: HypencoderDualEncoder | TextDualEncoder,
    tokenizer: Any,
    texts: Texts,
    config: TrainingConfig,
    progress: Progress,
) -> Collator:
    random_negatives = config.sampling.random_negatives
    queries = TokenTable.of_texts(
        tokenizer,
        texts.queries,
        max_length=config.query_max_length,
        progress=progress,
        what="queries",
    )
    if config.cache is None:
        passages = TokenTable.of_texts(
            tokenizer,
            texts.passages,
            max_length=config.passage_max_length,
            progress=progress,
            what="passages",
        )
        return Collator(queries, passages, texts.pool, random_negatives, config.seed)
    refuse_unfrozen(dual)
    width = dual.query_encoder.width
    refuse_beyond_limit(queries, len(texts.passages), width=width, cache=config.cache)
    states = cache_query_states(dual.query_encoder, queries, config, config.cache, progress)
    vectors = cache_embeddings(dual.passage_encoder, tokenizer, texts.passages, config, progress)
    return Collator(states, vectors, texts.pool, random_negatives, config.seed)
