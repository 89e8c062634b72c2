"""Converts a recipe to the specification of a model and the configuration of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypencli.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from hypencli.models.building.spec import ModelSpec
    from hypencli.training import TrainingConfig, ValidationConfig

_PUBLISHED_CONVERTER = "repeated-dense"


def model_spec(recipe: Recipe, source: str, hyper_head: str | None = None) -> ModelSpec:
    """Convert the model section of a recipe to a specification.

    Args:
        recipe: The recipe.
        source: Folder or hub name of the backbone, or of the trained model to continue from.
        hyper_head: Folder or hub name of a model whose hyper-head initialises the new one.
    """
    from hypencli.models.load import ModelSpec

    model = recipe.model
    converter, options = _converter(recipe)
    return ModelSpec(
        architecture=model.architecture,
        backbone=source if model.initial is None else None,
        initial=None if model.initial is None else source,
        hyper_head_from=hyper_head,
        pooling=model.pooling,
        normalize=model.normalize,
        shared_encoder=model.shared_encoder,
        freeze_encoder=model.freeze_encoder,
        converter=converter,
        converter_options=options,
        embedding_representation=model.embedding_representation,
        query_projection=model.query_projection,
        losses=tuple((loss.type, loss.own_options()) for loss in recipe.losses),
        seed=recipe.training.seed,
        trust_code=model.trust_code,
    )


def _converter(recipe: Recipe) -> tuple[str | None, dict[str, Any]]:
    """Name and options of the converter. The name of the published converter is None."""
    section = recipe.model.converter
    if section is None:
        return None, {}
    options: dict[str, Any] = dict(section.options)
    if section.layers is not None:
        options["hidden_layers"] = section.layers
    if section.hidden_width is not None:
        options["hidden_width"] = section.hidden_width
    if section.vector_dimensions is not None:
        options["vector_dimensions"] = list(section.vector_dimensions)
    return None if section.name == _PUBLISHED_CONVERTER else section.name, options


def training_config(recipe: Recipe, device: torch.device) -> TrainingConfig:
    """Convert the training sections of a recipe to a configuration for a device."""
    from hypencli.runtime import resolve_dtype
    from hypencli.training import Sampling, Stage, StateCache, TrainingConfig

    data, training = recipe.data, recipe.training
    cache = StateCache(
        dtype=resolve_dtype(training.cache_dtype),
        limit_bytes=int(training.cache_limit_gb * 10**9),
    )
    return TrainingConfig(
        steps=training.steps,
        epochs=training.epochs,
        batch_size=training.batch_size,
        gradient_accumulation=training.gradient_accumulation,
        learning_rate=training.learning_rate,
        learning_rates=training.learning_rates,
        schedule=training.schedule,
        warmup_steps=training.warmup_steps,
        warmup_ratio=training.warmup_ratio,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        mixed_bfloat16=training.precision == "bfloat16",
        seed=training.seed,
        query_max_length=data.query_max_length,
        passage_max_length=data.passage_max_length,
        sampling=Sampling(
            positives=data.positives,
            positive_type=data.positive_type,
            positive_score=data.positive_score,
            negatives_per_query=data.negatives_per_query,
            too_few_negatives=data.too_few_negatives,
            random_negatives=data.random_negatives,
        ),
        cache=cache if training.cache_encoder else None,
        fitted_head_scale=recipe.model.hyper_head_scale
        if recipe.model.hyper_head_start == "bi-encoder"
        else None,
        stages=tuple(Stage(first=loss.from_step, stop=loss.until_step) for loss in recipe.losses),
        chunk_size=training.chunk_size,
        activation_checkpointing=training.activation_checkpointing,
        compile=training.compile,
        cross_device_negatives=training.cross_device_negatives,
        fsdp=training.fsdp,
        workers=data.workers,
        save_steps=training.save_steps,
        max_minutes=training.max_minutes,
        report_to=training.report_to,
        validation=_validation(recipe),
        logging_steps=training.logging_steps,
        device=device,
    )


def _validation(recipe: Recipe) -> ValidationConfig | None:
    from hypencli.training import ValidationConfig

    section = recipe.validation
    if section is None:
        return None
    return ValidationConfig(
        every_steps=section.every_steps,
        measures=section.measures,
        best=section.best,
        patience=section.patience,
    )
