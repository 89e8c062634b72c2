"""The schema of a whole recipe: one frozen model per section, fields with meaning and bounds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from hypencli.recipe.data_section import DataSection, LossSection
from hypencli.recipe.model_section import ModelSection
from hypencli.recipe.section import IDENTITY_VERSION, NOT_IDENTITY, Section
from hypencli.recipe.training_section import TrainingSection, ValidationSection

Group = Literal[
    "first steps", "paper", "hard tasks", "own data", "encoders", "warm starts", "follow-ups"
]
"""Groups of shipped recipes, in the order in which they are listed."""


class Recipe(Section):
    """A resolved recipe: it is complete except for the content of models and data."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="short name; by default the file's",
        json_schema_extra=NOT_IDENTITY,
    )
    description: str = Field(
        "", description="what the recipe is for, in a line", json_schema_extra=NOT_IDENTITY
    )
    group: Group | None = Field(
        None,
        description="among which recipes hype recipes lists it",
        json_schema_extra=NOT_IDENTITY,
    )
    model: ModelSection = Field(
        default_factory=lambda: ModelSection(), description="what is trained"
    )
    data: DataSection = Field(
        default_factory=lambda: DataSection(), description="what it is trained on"
    )
    losses: tuple[LossSection, ...] = Field(
        min_length=1, strict=False, description="the losses, added up"
    )
    training: TrainingSection = Field(description="how long, how fast, from which seed")
    validation: ValidationSection | None = Field(
        None,
        description="what is measured while training, and which checkpoint is kept; none: only the "
        "losses are watched (--set validation.rows=FILE adds it)",
    )

    @model_validator(mode="after")
    def _sections_agree(self) -> Recipe:
        training = self.training
        if training.cache_encoder and not self.model.freeze_encoder:
            raise ValueError("training.cache_encoder needs model.freeze_encoder = true")
        if training.cache_encoder and (training.chunk_size or training.activation_checkpointing):
            raise ValueError(
                "training.cache_encoder leaves no activations: clear chunk_size and "
                "activation_checkpointing"
            )
        self._losses_fit()
        staged = any(loss.from_step or loss.until_step is not None for loss in self.losses)
        if staged and self.validation is not None and self.validation.best == "loss":
            raise ValueError(
                "validation.best = 'loss' would compare sums of other losses in each stage: name a "
                "measure"
            )
        return self

    def _losses_fit(self) -> None:
        """Refuse losses that need something that the model or the data does not have."""
        functions = [(loss.type, loss.function()) for loss in self.losses]
        for name, loss in functions:
            if loss.needs.query_embedding and self.model.architecture != "hypencoder":
                raise ValueError(f"{name} is for architecture = 'hypencoder'")
            if loss.needs.negatives and self.data.negatives_per_query == 0:
                raise ValueError(f"{name} needs data.negatives_per_query of at least 1")
        in_batch = any(loss.has_in_batch_negatives for _, loss in functions)
        if self.data.random_negatives and not in_batch:
            raise ValueError(
                "data.random_negatives needs a loss with in-batch negatives: an in-batch "
                "cross_entropy"
            )

    @model_validator(mode="after")
    def _every_step_has_a_loss(self) -> Recipe:
        step = _first_without_loss(self.losses)
        if step == 0:
            raise ValueError("one of the losses must count from the first step: from_step = 0")
        if step is not None and (self.training.steps is None or step < self.training.steps):
            raise ValueError(
                f"no loss counts at step {step}: let one go on (until_step), or another begin "
                "before (from_step)"
            )
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of the values that determine the weights, from canonical JSON (64 hex digits).

        Names, comments and paths are not included: a recipe with another name, or with its data in
        another folder, has the same hash. Data and backbone have fingerprints of their own.
        """
        values = {"identity_version": IDENTITY_VERSION, **self.identity()}
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def _first_without_loss(losses: Sequence[LossSection]) -> int | None:
    """Return the first step without an active loss; None if every step has one."""
    reached = 0
    for loss in sorted(losses, key=lambda loss: loss.from_step):
        if loss.from_step > reached:
            break
        if loss.until_step is None:
            return None
        reached = max(reached, loss.until_step)
    return reached
