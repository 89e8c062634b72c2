"""What a recipe may say: one frozen model a section, every field with its meaning and bounds."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)

_NOT_IDENTITY: Final[dict[str, JsonValue]] = {"identity": False}
"""Marks a field that does not change the weights, or whose content is fingerprinted apart."""

_UNSET: Final = "none"
"""TOML has no null: this word clears a value that a recipe below has set."""

Pooling = Literal["cls", "mean", "mean-unmasked"]


class Section(BaseModel):
    """A table of a recipe: immutable, strict about types, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _clear(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        optional = type(None) in get_args(field.annotation)
        return None if optional and value == _UNSET else value

    def identity(self) -> dict[str, JsonValue]:
        """The values that decide what is trained, as plain JSON."""
        values = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("identity") is False:
                del values[name]
            elif isinstance(value, Section):
                values[name] = value.identity()
        return values


class ConverterSection(Section):
    """``[model.converter]``: which q-net is made of the generated matrices and vectors."""

    name: str = Field(
        "repeated-dense",
        min_length=1,
        description="q-net converter: a short name (repeated-dense is the paper's, "
        "warm-start begins as a bi-encoder) or module:Class for one of your own",
    )
    layers: int | None = Field(
        None,
        ge=0,
        le=64,
        description="hidden layers of a shipped q-net, each as wide as the embedding (the paper: 2 "
        "to 8; 6 where vector_dimensions is not given either)",
    )
    vector_dimensions: tuple[int, ...] | None = Field(
        None,
        min_length=2,
        strict=False,
        description="widths of the q-net from input to output, in place of layers",
    )
    options: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="further arguments of the converter (activation_type, do_residual, ...)",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_layers(cls, values: Any) -> Any:
        if not isinstance(values, dict) or ":" in str(values.get("name", "")):
            return values
        shape = [values.get(key) for key in ("layers", "vector_dimensions")]
        named = any(each not in (None, _UNSET) for each in shape)
        return values if named else {**values, "layers": 6}

    @model_validator(mode="after")
    def _one_shape(self) -> ConverterSection:
        if self.layers is not None and self.vector_dimensions is not None:
            raise ValueError("give layers or vector_dimensions, not both")
        if self.layers is not None and ":" in self.name:
            raise ValueError(
                "layers is for shipped converters; a converter of your own has options instead"
                " ('none' clears an inherited value)"
            )
        if any(width < 1 for width in self.vector_dimensions or ()):
            raise ValueError("every width in vector_dimensions is at least 1")
        return self


class ModelSection(Section):
    """``[model]``: what is trained."""

    architecture: Literal["hypencoder", "bi-encoder"] = Field(
        "hypencoder", description="hypencoder (queries become q-nets) or bi-encoder (vectors)"
    )
    backbone: str | None = Field(
        None,
        min_length=1,
        description="encoder to start from: a folder, a name on the hub, or a model of the store",
        json_schema_extra=_NOT_IDENTITY,
    )
    pooling: Pooling | None = Field(
        None,
        description="how token states become an embedding: cls, mean (masked), or mean-unmasked "
        "(as published checkpoints with mean were trained); none: as the backbone declares",
    )
    normalize: bool | None = Field(
        None, description="scale embeddings to length 1; none: as the backbone declares"
    )
    shared_encoder: bool = Field(True, description="one encoder for queries and passages")
    freeze_encoder: bool = Field(
        False, description="leave the encoder as it is and train only what is above it"
    )
    embedding_representation: Pooling | None = Field(
        None,
        description="pooling of a query embedding beside the q-net; none: as passages are pooled "
        "where the converter takes one, else no such embedding",
    )
    query_projection: float | None = Field(
        None,
        gt=0,
        description="bi-encoder only: put a matrix after the query embedding, begun as this "
        "number times the identity",
    )
    trust_code: bool = Field(
        False,
        description="import the module of a converter named module:Class; only by --set, "
        "never in a file",
        json_schema_extra=_NOT_IDENTITY,
    )
    converter: ConverterSection | None = Field(None, description="hypencoder only: the q-net")

    @model_validator(mode="before")
    @classmethod
    def _default_converter(cls, values: Any) -> Any:
        """A hypencoder that names no converter has the default one, written out in its identity."""
        if not isinstance(values, dict) or values.get("architecture", "hypencoder") != "hypencoder":
            return values
        return values if values.get("converter") is not None else {**values, "converter": {}}

    @model_validator(mode="after")
    def _one_architecture(self) -> ModelSection:
        hypencoder = self.architecture == "hypencoder"
        misplaced = {
            "query_projection": hypencoder and self.query_projection is not None,
            "converter": not hypencoder and self.converter is not None,
            "embedding_representation": not hypencoder
            and self.embedding_representation is not None,
        }
        for name in (name for name, is_misplaced in misplaced.items() if is_misplaced):
            raise ValueError(
                f"{name} is not for architecture = {self.architecture!r}"
                " ('none' clears an inherited one)"
            )
        return self


class DataSection(Section):
    """``[data]``: what it is trained on."""

    train: str | None = Field(
        None,
        min_length=1,
        description="training file: JSONL, .gz too, each line "
        '{"query": {"id", "content"}, "items": [{"id", "content", "score", "type"}]}',
        json_schema_extra=_NOT_IDENTITY,
    )
    positives: Literal["first", "type", "score_above"] = Field(
        "first", description="which items of a row are relevant; one is drawn for each step"
    )
    positive_type: str = Field(
        "positive", min_length=1, description="with positives = type: the type of a relevant item"
    )
    positive_score: float = Field(
        0.0, description="with positives = score_above: relevant items score above this"
    )
    negatives_per_query: int = Field(
        7, ge=0, le=10_000, description="other items of the row drawn for each query and step"
    )
    too_few_negatives: Literal["error", "repeat", "skip"] = Field(
        "error", description="what to do with rows of fewer negatives than that"
    )
    random_negatives: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="passages drawn at random for each batch, negatives to all of its queries in "
        "in-batch cross-entropy",
    )
    random_negatives_from: str | None = Field(
        None,
        min_length=1,
        description="corpus (JSONL with id and text) to draw them from; none: the training file",
        json_schema_extra=_NOT_IDENTITY,
    )
    query_max_length: int = Field(64, ge=3, le=65_536, description="longest query in tokens")
    passage_max_length: int = Field(256, ge=3, le=65_536, description="longest passage in tokens")


class LossSection(Section):
    """``[[losses]]``: several add up."""

    type: Literal["margin_mse", "cross_entropy"] = Field(
        description="margin_mse (needs the score of a teacher on every item) or cross_entropy"
    )
    scale: float = Field(1.0, gt=0, description="factor of this loss in the sum")
    use_in_batch_negatives: bool = Field(
        True, description="cross_entropy: the passages of the other queries are negatives too"
    )
    only_use_first_item: bool = Field(
        False, description="cross_entropy in the batch: only the positive of each other query"
    )

    @model_validator(mode="after")
    def _options_of_the_type(self) -> LossSection:
        changed = self.only_use_first_item or not self.use_in_batch_negatives
        if self.type == "margin_mse" and changed:
            raise ValueError(
                "use_in_batch_negatives and only_use_first_item are for type = 'cross_entropy'"
            )
        if self.only_use_first_item and not self.use_in_batch_negatives:
            raise ValueError("only_use_first_item needs use_in_batch_negatives = true")
        return self


class TrainingSection(Section):
    """``[training]``: how long, how fast, from which seed."""

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
        json_schema_extra=_NOT_IDENTITY,
    )
    device: str = Field(
        "auto",
        min_length=1,
        description="auto, cpu, cuda, cuda:1, mps",
        json_schema_extra=_NOT_IDENTITY,
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


class Recipe(Section):
    """A whole recipe, resolved: nothing is left to look up but models and data."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="short name; by default the file's",
        json_schema_extra=_NOT_IDENTITY,
    )
    description: str = Field(
        "", description="what the recipe is for, in a line", json_schema_extra=_NOT_IDENTITY
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

    @model_validator(mode="after")
    def _sections_agree(self) -> Recipe:
        if self.training.cache_encoder and not self.model.freeze_encoder:
            raise ValueError("training.cache_encoder needs model.freeze_encoder = true")
        if self.data.random_negatives and not any(
            loss.type == "cross_entropy" and loss.use_in_batch_negatives for loss in self.losses
        ):
            raise ValueError(
                "data.random_negatives needs an in-batch cross_entropy among the losses"
            )
        if self.data.negatives_per_query == 0 and any(
            loss.type == "margin_mse" for loss in self.losses
        ):
            raise ValueError("margin_mse needs data.negatives_per_query of at least 1")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 over what decides the weights, in canonical JSON (64 hex digits).

        Names, comments and places are left out: the same recipe under another name, or with its
        data in another folder, has the same hash. Data and backbone are fingerprinted apart.
        """
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()
