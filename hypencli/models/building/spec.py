"""Models to train, built from a specification: on a backbone, or from a trained model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from hypencli.errors import ModelError
from hypencli.models.building.transplant_head import take_hyper_head
from hypencli.models.checkpoints.backbone import backbone_width, load_backbone
from hypencli.models.checkpoints.companions import CONFIG_FILE
from hypencli.models.checkpoints.config import (
    POOLINGS,
    DualEncoderConfig,
    HypencoderConfig,
    LossConfig,
    Pooling,
    TextEncoderConfig,
    checked_pooling,
)
from hypencli.models.checkpoints.sentence import sentence_encoder_facts
from hypencli.models.checkpoints.weights import accounted_for, locate, read_config
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder, dual_class
from hypencli.models.encoder import TextEncoder
from hypencli.models.qnets.registry import SHIPPED_CONVERTERS

Architecture = Literal["hypencoder", "bi-encoder"]

_ARCHITECTURES: Mapping[type, Architecture] = {
    HypencoderDualEncoder: "hypencoder",
    TextDualEncoder: "bi-encoder",
}
_BROUGHT_BY_INITIAL = (
    "hyper_head_from",
    "pooling",
    "normalize",
    "embedding_representation",
    "query_projection",
)
_CONVERTER_KEYS = "query_encoder.weight_to_model_converter."


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The specification of a model to train.

    Attributes:
        architecture: ``hypencoder``, or ``bi-encoder``.
        backbone: An encoder with its weights: a folder or a hub name; or the folder of a dual
            encoder, whose passage side is then used. With ``initial``, the source of the backbone
            configuration if the checkpoint lacks one.
        initial: A trained dual encoder to continue from, instead of a backbone: a folder or a hub
            name. It sets weights, pooling, normalisation, converter and encoder sharing. Of this
            specification, ``freeze_encoder``, ``losses`` and a named converter still apply.
        hyper_head_from: A Hypencoder, a folder or a hub name, whose hyper-head replaces the new
            one; nothing else is taken from it.
        pooling: The pooling of token states; None means that which the encoder declares.
        normalize: Whether vectors are scaled to length 1; None means what the encoder declares.
        shared_encoder: Whether both sides have one backbone.
        freeze_encoder: Whether the backbones are frozen.
        converter: The q-net architecture: a short name or ``module:Class``; None means the
            published one.
        converter_options: Options of the converter. For shipped ones, ``hidden_layers`` can replace
            ``vector_dimensions``: it is the number of layers before the output, each of
            ``hidden_width`` or of the width of the backbone.
        embedding_representation: Pooling of a query vector besides the q-nets. None makes one only
            if the converter takes it, with the pooling of the passages.
        query_projection: For a bi-encoder, the initial factor of the identity in a square matrix on
            the query side; None for no such matrix.
        losses: Published names of losses, with options.
        seed: Seed of the new weights.
        trust_code: Whether a ``module:Class`` that ``initial`` itself names may be imported.
    """

    architecture: Architecture = "hypencoder"
    backbone: str | None = None
    initial: str | None = None
    hyper_head_from: str | None = None
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
    trust_code: bool = False


def build_dual_encoder(spec: ModelSpec) -> HypencoderDualEncoder | TextDualEncoder:
    """Build a model to train, from a pre-trained backbone or from a trained model.

    New weights depend on the seed alone, and the random state of the caller is unchanged. A
    ``module:Class`` converter of the specification is imported, so its author must trust it.

    Raises:
        ModelError: The backbone does not exist or is not an encoder, its pooling is neither
            declared nor specified, the trained model has the other architecture, or parts do not
            fit together.
    """
    _refuse_contradictions(spec)
    if spec.initial is not None:
        return _go_on(spec, spec.initial)
    start = _start(spec, str(spec.backbone))
    config = _dual_config(spec, start)
    sides = {"query": start.transformer, "passage": start.transformer}
    if not spec.shared_encoder:
        sides["passage"] = copy.deepcopy(start.transformer)
    with _draws_from(spec.seed):
        if spec.architecture == "bi-encoder":
            return TextDualEncoder.assemble(config, sides).train(False)
        model = HypencoderDualEncoder.assemble(config, sides, trust_code=True)
    model.query_encoder.initialize_head(torch.Generator().manual_seed(spec.seed))
    if spec.hyper_head_from is not None:
        take_hyper_head(model.query_encoder, spec.hyper_head_from)
    return model.train(False)


def _refuse_contradictions(spec: ModelSpec) -> None:
    if spec.initial is None and spec.backbone is None:
        raise ModelError("A model starts from a backbone or from an initial model: none is given.")
    if spec.hyper_head_from is not None and spec.architecture != "hypencoder":
        raise ModelError(f"A {spec.architecture} has no hyper-head: hyper_head_from is not for it.")
    contradicting = [name for name in _BROUGHT_BY_INITIAL if getattr(spec, name) is not None]
    if spec.initial is not None and contradicting:
        raise ModelError(
            f"The initial model {spec.initial!r} brings its own {', '.join(contradicting)}."
        )


@contextmanager
def _draws_from(seed: int) -> Iterator[None]:
    """Seed the global generator, from which a user's converter may draw, and restore it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _go_on(spec: ModelSpec, source: str) -> HypencoderDualEncoder | TextDualEncoder:
    """Load the trained model at ``source``, and apply the changes of the specification."""
    dual = _trained_class(source, asked=spec.architecture)
    trained = dual.from_pretrained(source, backbone=spec.backbone, trust_code=spec.trust_code)
    backbones = trained.backbones()
    for backbone in backbones.values():
        backbone.requires_grad_(True)  # it may have been frozen in training
    config = _continued(trained, spec)
    with _draws_from(spec.seed):
        model = dual.assemble(config, backbones, trust_code=True)
    # If the trained model lacks weights for a parameter of the converter, they are new.
    new = {k: v for k, v in model.state_dict().items() if k.startswith(_CONVERTER_KEYS)}
    weights = accounted_for(
        {**new, **trained.state_dict()},
        model.state_dict(),
        where=f"the initial model {source!r}",
        hint="Its hyper-head writes q-nets of other shapes than the converter named here takes.",
    )
    model.load_state_dict(weights, strict=False)
    return model.train(False)


def _trained_class(
    source: str, *, asked: Architecture
) -> type[HypencoderDualEncoder] | type[TextDualEncoder]:
    raw = read_config(locate(source))
    dual = dual_class(raw)
    if dual is None:
        raise ModelError(
            f"The initial model {source!r} is no trained model: its architectures are "
            f"{raw.get('architectures') or 'not stated'}, expected a dual encoder.",
            hint=f"A plain encoder is a backbone: `model.initial=none` `model.backbone={source!r}`",
        )
    if _ARCHITECTURES[dual] != asked:
        raise ModelError(
            f"The initial model {source!r} is a {_ARCHITECTURES[dual]}; a {asked} is asked for.",
            hint=f"Take its architecture: `model.architecture={_ARCHITECTURES[dual]}`; or start "
            "from another model.",
        )
    return dual


def _continued(
    trained: HypencoderDualEncoder | TextDualEncoder, spec: ModelSpec
) -> DualEncoderConfig:
    """Return the settings of a trained model, with losses and freezing of the specification."""
    query = replace(trained.settings.query, freeze_transformer=spec.freeze_encoder)
    passage = replace(trained.settings.passage, freeze_transformer=spec.freeze_encoder)
    if isinstance(query, HypencoderConfig) and (spec.converter or spec.converter_options):
        query = replace(
            query,
            converter=spec.converter,
            converter_kwargs=_converter_options(spec, trained.passage_encoder.width),
            embedding_representation=query.embedding_representation
            or _pooling_for_converter(spec, passage.pooling),
        )
    return replace(trained.settings, query=query, passage=passage, losses=_losses(spec))


@dataclass(frozen=True)
class _Start:
    source: str
    transformer: nn.Module
    pooling: Pooling
    normalize: bool


def _start(spec: ModelSpec, source: str) -> _Start:
    folder = Path(source)
    dual = dual_class(read_config(folder)) if (folder / CONFIG_FILE).is_file() else None
    if dual is not None:
        # Of a Hypencoder, only the passage side is read, so no converter code is needed.
        passage = (
            TextEncoder.from_pretrained(folder)
            if dual is HypencoderDualEncoder
            else dual.from_pretrained(folder).passage_encoder
        )
        transformer, settings = passage.transformer.requires_grad_(True), passage.settings
        declared: tuple[Pooling | None, bool | None] = (settings.pooling, settings.normalize)
    else:
        transformer = load_backbone(source)
        facts = sentence_encoder_facts(source) if spec.pooling is None else None
        declared = (None, None) if facts is None else (facts.pooling, facts.normalize)
    pooling = spec.pooling or declared[0]
    if pooling is None:
        raise ModelError(
            f"The encoder at {source!r} does not declare how it pools.",
            hint=f"Set pooling to one of: {', '.join(POOLINGS)}.",
        )
    normalize = declared[1] if spec.normalize is None else spec.normalize
    checked_pooling(pooling, where="the model's specification")
    return _Start(source, transformer, pooling, bool(normalize))


def _dual_config(spec: ModelSpec, start: _Start) -> DualEncoderConfig:
    passage = TextEncoderConfig(
        model_name_or_path=start.source,
        pooling=start.pooling,
        normalize=start.normalize,
        freeze_transformer=spec.freeze_encoder,
    )
    query: HypencoderConfig | TextEncoderConfig
    if spec.architecture == "bi-encoder":
        query = TextEncoderConfig(
            model_name_or_path=start.source,
            pooling=start.pooling,
            normalize=start.normalize,
            freeze_transformer=spec.freeze_encoder,
            query_projection=spec.query_projection,
        )
    else:
        query = _hypencoder_config(spec, start)
    return DualEncoderConfig(
        query=query, passage=passage, shared_encoder=spec.shared_encoder, losses=_losses(spec)
    )


def _losses(spec: ModelSpec) -> tuple[LossConfig, ...]:
    return tuple(LossConfig(name, dict(options)) for name, options in spec.losses)


def _hypencoder_config(spec: ModelSpec, start: _Start) -> HypencoderConfig:
    config: Any = start.transformer.config
    width = backbone_width(config)
    pooling = spec.embedding_representation or _pooling_for_converter(spec, start.pooling)
    return HypencoderConfig(
        model_name_or_path=start.source,
        converter=spec.converter,
        converter_kwargs=_converter_options(spec, width),
        freeze_transformer=spec.freeze_encoder,
        embedding_representation=pooling,
        normalize=start.normalize,
        base_encoder_output_dim=width,
    )


def _pooling_for_converter(spec: ModelSpec, passages: Pooling) -> Pooling | None:
    """Return the passage pooling if a shipped converter takes a query vector, else None."""
    shipped = SHIPPED_CONVERTERS.get(spec.converter) if spec.converter else None
    return passages if getattr(shipped, "takes_query_embedding", False) else None


def _converter_options(spec: ModelSpec, width: int) -> dict[str, Any]:
    options = dict(spec.converter_options)
    if spec.converter is not None and spec.converter not in SHIPPED_CONVERTERS:
        return options
    layers, hidden = options.pop("hidden_layers", None), options.pop("hidden_width", width)
    if layers is not None and "vector_dimensions" in options:
        raise ModelError("Give hidden_layers or vector_dimensions, not both.")
    if layers is not None:
        options["vector_dimensions"] = [width, *[hidden] * int(layers), 1]
    return options
