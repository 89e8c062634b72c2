"""Fresh models for training, from a specification."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from hypencli.errors import ModelError
from hypencli.models.backbone import backbone_width, load_backbone
from hypencli.models.config import (
    POOLINGS,
    DualEncoderConfig,
    HypencoderConfig,
    LossConfig,
    Pooling,
    TextEncoderConfig,
    checked_pooling,
)
from hypencli.models.converters import SHIPPED_CONVERTERS
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder, dual_class
from hypencli.models.sentence import sentence_encoder_facts
from hypencli.models.weights import CONFIG_FILE, read_config


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What to build.

    Attributes:
        architecture: ``hypencoder``, or ``bi-encoder``.
        backbone: An encoder with its weights: a folder or a hub name; or the folder of a dual
            encoder, whose passage side is then the start.
        pooling: How token states become a vector; None takes what the encoder declares.
        normalize: Whether vectors are scaled to length 1; None takes what the encoder declares.
        shared_encoder: Whether both sides have one backbone.
        freeze_encoder: Whether the backbones stay as they are.
        converter: The q-net architecture: a short name or ``module:Class``; None is the published.
        converter_options: Its options. For shipped ones, ``hidden_layers`` may stand instead of
            ``vector_dimensions``: that many layers as wide as the backbone, then the output.
        embedding_representation: Pooling of a query vector beside the q-nets; None makes one only
            where the converter takes it, pooled as passages are.
        query_projection: For a bi-encoder, a square matrix on the query side that starts as this
            times the identity; None for no such matrix.
        losses: Published names with options.
        seed: Of the new weights.
    """

    architecture: Literal["hypencoder", "bi-encoder"] = "hypencoder"
    backbone: str
    pooling: Pooling | None = None
    normalize: bool | None = None
    shared_encoder: bool = True
    freeze_encoder: bool = False
    converter: str | None = None
    converter_options: Mapping[str, Any] = field(default_factory=dict)
    embedding_representation: Pooling | None = None
    query_projection: float | None = None
    losses: tuple[tuple[str, Mapping[str, Any]], ...] = (("cross_entropy", {}),)
    seed: int = 0


def build_dual_encoder(spec: ModelSpec) -> HypencoderDualEncoder | TextDualEncoder:
    """A model to train: a pre-trained backbone, and new weights from the seed alone.

    The caller's random state stays as it was. A ``module:Class`` converter is imported: whoever
    writes a specification trusts what it names.

    Raises:
        ModelError: The backbone is not there or not an encoder, its pooling is neither declared
            nor given, or parts do not fit.
    """
    start = _start(spec)
    config = _dual_config(spec, start)
    sides = {"query": start.transformer, "passage": start.transformer}
    if not spec.shared_encoder:
        sides["passage"] = copy.deepcopy(start.transformer)
    # A user's own converter may draw from the global generator, as modules of torch do.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(spec.seed)
        if spec.architecture == "bi-encoder":
            return TextDualEncoder.assemble(config, sides).train(False)
        model = HypencoderDualEncoder.assemble(config, sides, trust_code=True)
    model.query_encoder.initialize_head(torch.Generator().manual_seed(spec.seed))
    return model.train(False)


@dataclass(frozen=True)
class _Start:
    transformer: nn.Module
    pooling: Pooling
    normalize: bool


def _start(spec: ModelSpec) -> _Start:
    folder = Path(spec.backbone)
    made = dual_class(read_config(folder)) if (folder / CONFIG_FILE).is_file() else None
    if made is not None:
        passage = made.from_pretrained(folder, trust_code=True).passage_encoder
        transformer, settings = passage.transformer, passage.settings
        declared: tuple[Pooling | None, bool | None] = (settings.pooling, settings.normalize)
    else:
        transformer = load_backbone(spec.backbone)
        facts = sentence_encoder_facts(spec.backbone) if spec.pooling is None else None
        declared = (None, None) if facts is None else (facts.pooling, facts.normalize)
    pooling = spec.pooling or declared[0]
    if pooling is None:
        raise ModelError(
            f"The encoder at {spec.backbone!r} does not declare how it pools.",
            hint=f"Set pooling to one of: {', '.join(POOLINGS)}.",
        )
    normalize = declared[1] if spec.normalize is None else spec.normalize
    checked_pooling(pooling, where="the model's specification")
    return _Start(transformer, pooling, bool(normalize))


def _dual_config(spec: ModelSpec, start: _Start) -> DualEncoderConfig:
    passage = TextEncoderConfig(
        model_name_or_path=spec.backbone,
        pooling=start.pooling,
        normalize=start.normalize,
        freeze_transformer=spec.freeze_encoder,
    )
    query: HypencoderConfig | TextEncoderConfig
    if spec.architecture == "bi-encoder":
        query = TextEncoderConfig(
            model_name_or_path=spec.backbone,
            pooling=start.pooling,
            normalize=start.normalize,
            freeze_transformer=spec.freeze_encoder,
            query_projection=spec.query_projection,
        )
    else:
        query = _hypencoder_config(spec, start)
    losses = tuple(LossConfig(name, dict(options)) for name, options in spec.losses)
    return DualEncoderConfig(
        query=query, passage=passage, shared_encoder=spec.shared_encoder, losses=losses
    )


def _hypencoder_config(spec: ModelSpec, start: _Start) -> HypencoderConfig:
    config: Any = start.transformer.config
    width = backbone_width(config)
    shipped = SHIPPED_CONVERTERS.get(spec.converter) if spec.converter else None
    takes_embedding = getattr(shipped, "takes_query_embedding", False)
    pooling = spec.embedding_representation or (start.pooling if takes_embedding else None)
    return HypencoderConfig(
        model_name_or_path=spec.backbone,
        converter=spec.converter,
        converter_kwargs=_converter_options(spec, width),
        freeze_transformer=spec.freeze_encoder,
        embedding_representation=pooling,
        normalize=start.normalize,
        base_encoder_output_dim=width,
    )


def _converter_options(spec: ModelSpec, width: int) -> dict[str, Any]:
    options = dict(spec.converter_options)
    if spec.converter is not None and spec.converter not in SHIPPED_CONVERTERS:
        return options
    layers = options.pop("hidden_layers", None)
    if layers is not None and "vector_dimensions" in options:
        raise ModelError("Give hidden_layers or vector_dimensions, not both.")
    if layers is not None:
        options["vector_dimensions"] = [width] * (int(layers) + 1) + [1]
    return options
