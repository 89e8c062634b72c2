"""``[model]`` and ``[model.converter]``: the model to train, and its initial weights."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, JsonValue, model_validator

from hypencli.recipe.section import NOT_IDENTITY, UNSET, Pooling, Section


class ConverterSection(Section):
    """``[model.converter]``: the q-net that is built from the generated matrices and vectors."""

    name: str = Field(
        "repeated-dense",
        min_length=1,
        description="q-net converter: a short name (repeated-dense is the paper's, "
        "warm-start begins as a bi-encoder, matryoshka has nested widths) or module:Class for one "
        "of your own",
    )
    layers: int | None = Field(
        None,
        ge=0,
        le=64,
        description="hidden layers of a shipped q-net, each as wide as the embedding (the paper: 2 "
        "to 8; 6 where vector_dimensions is not given either)",
    )
    hidden_width: int | None = Field(
        None,
        ge=1,
        description="with layers: their width, in place of that of the embedding",
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
        named = any(each not in (None, UNSET) for each in shape)
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
        if self.hidden_width is not None and self.layers is None:
            raise ValueError("hidden_width is the width of layers: give layers")
        if any(width < 1 for width in self.vector_dimensions or ()):
            raise ValueError("every width in vector_dimensions is at least 1")
        return self


class ModelSection(Section):
    """``[model]``: the model to train."""

    architecture: Literal["hypencoder", "bi-encoder"] = Field(
        "hypencoder", description="hypencoder (queries become q-nets) or bi-encoder (vectors)"
    )
    backbone: str | None = Field(
        None,
        min_length=1,
        description="encoder to start from: a folder, a name on the hub, or a model of the store",
        json_schema_extra=NOT_IDENTITY,
    )
    initial: str | None = Field(
        None,
        min_length=1,
        description="trained model to go on from with all its weights, in place of backbone: a "
        "model of the store, a folder, or a name on the hub; what it says of itself holds",
        json_schema_extra=NOT_IDENTITY,
    )
    hyper_head_from: str | None = Field(
        None,
        min_length=1,
        description="hypencoder only: take the weights of the hyper-head, and nothing else, from "
        "this trained Hypencoder: a model of the store, a folder, or a name on the hub",
        json_schema_extra=NOT_IDENTITY,
    )
    hyper_head_start: Literal["noise", "bi-encoder"] = Field(
        "noise",
        description="how a new hyper-head starts: noise, as published, or bi-encoder: q-nets that "
        "rank as the backbone's own embeddings do (needs do_residual_on_last = true)",
    )
    hyper_head_scale: float = Field(
        20.0,
        gt=0,
        description="with hyper_head_start = bi-encoder: what multiplies the inner products",
    )
    pooling: Pooling | None = Field(
        None,
        description="how token states become an embedding: cls, mean (masked), or mean-unmasked "
        "(as published checkpoints with mean were trained); none: as the backbone declares",
    )
    normalize: bool | None = Field(
        None, description="scale embeddings to length 1; none: as the backbone declares"
    )
    shared_encoder: bool = Field(
        True, description="one encoder for queries and passages; an initial model says itself"
    )
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
        json_schema_extra=NOT_IDENTITY,
    )
    converter: ConverterSection | None = Field(None, description="hypencoder only: the q-net")

    @model_validator(mode="before")
    @classmethod
    def _default_converter(cls, values: Any) -> Any:
        """Set the default converter of a Hypencoder, so that its identity includes it."""
        if not isinstance(values, dict) or values.get("architecture", "hypencoder") != "hypencoder":
            return values
        if values.get("initial") not in (None, UNSET):
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
            "hyper_head_from": not hypencoder and self.hyper_head_from is not None,
            "hyper_head_start": not hypencoder and self.hyper_head_start != "noise",
        }
        for name in (name for name, is_misplaced in misplaced.items() if is_misplaced):
            raise ValueError(
                f"{name} is not for architecture = {self.architecture!r}"
                " ('none' clears an inherited one)"
            )
        return self

    @model_validator(mode="after")
    def _one_start(self) -> ModelSection:
        """Refuse settings that an initial model already determines."""
        taken = self.initial or self.hyper_head_from
        if self.hyper_head_start != "noise" and taken is not None:
            raise ValueError(
                f"hyper_head_start is for a new hyper-head; this one is taken from {taken!r}"
            )
        if self.initial is None:
            return self
        brought = (
            "backbone",
            "hyper_head_from",
            "pooling",
            "normalize",
            "embedding_representation",
            "query_projection",
        )
        for name in (name for name in brought if getattr(self, name) is not None):
            raise ValueError(
                f"initial brings its own {name}: give one of the two"
                " ('none' clears an inherited one)"
            )
        return self
