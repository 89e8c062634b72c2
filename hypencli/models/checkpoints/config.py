"""The ``config.json`` of a checkpoint, typed: the published keys, and the key ``hype``.

Published code reads every file written here. The key ``hype`` holds what it cannot express::

    "hype": {"format": 1,
             "query":   {"pooling": "mean", "normalize": false, "backbone": {...}},
             "passage": {"pooling": "mean", "normalize": false, "backbone": {...}},
             "losses":  [{"name": "self_distillation", "options": {}}, ...]}

Published code refuses a loss that it does not know. If there is such a loss, ``losses`` has all
losses, and the published keys have only the published ones.

An encoder saved by itself has one part, ``"encoder"``, instead of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, cast, get_args

from hypencli.errors import ModelError, did_you_mean

FORMAT = 1
"""Version of the format of the part under ``hype``."""

Pooling: TypeAlias = Literal["cls", "mean", "mean-unmasked"]
"""The pooling of token states into one vector.

``cls`` is the first token; ``mean`` averages the tokens of the text; ``mean-unmasked`` is the
"mean" of published code: it sums padding too, so a vector depends on its batch.
"""

POOLINGS: tuple[str, ...] = get_args(Pooling)
_PUBLISHED_POOLING = {"cls": "cls", "mean": "mean-unmasked"}
_POOLING_FOR_PUBLISHED = {"cls": "cls", "mean": "mean", "mean-unmasked": "mean"}
_PUBLISHED_LOSSES: Mapping[str, frozenset[str]] = {
    "margin_mse": frozenset({"scale"}),
    "cross_entropy": frozenset(
        {
            "scale",
            "use_in_batch_negatives",
            "only_use_first_item",
            "use_query_embedding_representation",
        }
    ),
}
"""The losses of published code, with their options."""

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Settings of a :class:`~hypencli.models.encoder.TextEncoder`.

    Attributes:
        model_name_or_path: The backbone's name.
        pooling: The pooling of token states into one vector.
        normalize: Whether vectors are scaled to length 1.
        freeze_transformer: Whether the backbone is frozen.
        query_projection: Initial factor of the identity in a square matrix after pooling; None for
            no such matrix.
    """

    model_name_or_path: str = ""
    pooling: Pooling = "cls"
    normalize: bool = False
    freeze_transformer: bool = False
    query_projection: float | None = None

    def published(self) -> dict[str, Any]:
        """Return the keys that published code reads."""
        return {
            "model_name_or_path": self.model_name_or_path,
            "freeze_transformer": self.freeze_transformer,
            "pooling_type": _POOLING_FOR_PUBLISHED[self.pooling],
        }

    def extras(self) -> dict[str, Any]:
        """Return the keys that only this package reads."""
        extras: dict[str, Any] = {"pooling": self.pooling, "normalize": self.normalize}
        if self.query_projection is not None:
            extras["query_projection"] = self.query_projection
        return extras


@dataclass(frozen=True, kw_only=True)
class HypencoderConfig:
    """Settings of a :class:`~hypencli.models.hypernet.Hypencoder`.

    Attributes:
        model_name_or_path: The backbone's name.
        converter_kwargs: Options of the q-net converter.
        converter: The short name of the converter or ``module:Class``; None means the published
            one.
        freeze_transformer: Whether the backbone is frozen.
        embedding_representation: Pooling of a query vector besides the q-nets, or None.
        normalize: Whether the query vector is scaled to length 1.
        base_encoder_output_dim: Width of the backbone's token states.
    """

    model_name_or_path: str = ""
    converter_kwargs: Json = field(default_factory=dict)
    converter: str | None = None
    freeze_transformer: bool = False
    embedding_representation: Pooling | None = None
    normalize: bool = False
    base_encoder_output_dim: int = 768

    def published(self) -> dict[str, Any]:
        """Return the keys that published code reads, and the name of another converter."""
        pooling = self.embedding_representation
        keys = {
            "model_name_or_path": self.model_name_or_path,
            "freeze_transformer": self.freeze_transformer,
            "embedding_representation": None
            if pooling is None
            else _POOLING_FOR_PUBLISHED[pooling],
            "base_encoder_output_dim": self.base_encoder_output_dim,
            "converter_kwargs": dict(self.converter_kwargs),
        }
        return keys if self.converter is None else {**keys, "converter": self.converter}

    def extras(self) -> dict[str, Any]:
        """Return the keys that only this package reads."""
        return {"pooling": self.embedding_representation, "normalize": self.normalize}


EncoderConfig: TypeAlias = TextEncoderConfig | HypencoderConfig


@dataclass(frozen=True)
class LossConfig:
    """A loss by its published name, with its options."""

    name: str
    options: Json = field(default_factory=dict)

    @property
    def is_published(self) -> bool:
        """Whether published code has this loss; it cannot load a model with another one."""
        options = _PUBLISHED_LOSSES.get(self.name)
        return options is not None and self.options.keys() <= options


@dataclass(frozen=True, kw_only=True)
class DualEncoderConfig:
    """Settings of a dual encoder; with a shared encoder, a frozen side freezes both."""

    query: EncoderConfig
    passage: TextEncoderConfig
    shared_encoder: bool = False
    losses: tuple[LossConfig, ...] = ()

    def __post_init__(self) -> None:
        # Deviation: published code ignores the passage side's flag if the encoder is shared.
        if self.shared_encoder and (
            self.query.freeze_transformer or self.passage.freeze_transformer
        ):
            object.__setattr__(self, "query", replace(self.query, freeze_transformer=True))
            object.__setattr__(self, "passage", replace(self.passage, freeze_transformer=True))

    def published(self) -> dict[str, Any]:
        """Return the keys that published code reads."""
        losses = [loss for loss in self.losses if loss.is_published]
        return {
            "query_encoder_type": "",
            "passage_encoder_type": "",
            "query_encoder_kwargs": self.query.published(),
            "passage_encoder_kwargs": self.passage.published(),
            "loss_type": [loss.name for loss in losses],
            "loss_kwargs": [dict(loss.options) for loss in losses],
            "shared_encoder": self.shared_encoder,
        }

    def extras(self) -> dict[str, Any]:
        """Return the keys that only this package reads, without those of the sides."""
        if all(loss.is_published for loss in self.losses):
            return {}
        named = [{"name": loss.name, "options": dict(loss.options)} for loss in self.losses]
        return {"losses": named}


def checked_pooling(name: object, *, where: str) -> Pooling:
    """Return ``name`` if it is a pooling.

    Raises:
        ModelError: The name is no pooling; the error names its source, ``where``.
    """
    if name not in POOLINGS:
        raise ModelError(
            f"Unknown pooling {name!r} in {where}.", hint=did_you_mean(str(name), POOLINGS)
        )
    return cast(Pooling, name)


def text_encoder_config(kwargs: Json, extras: Json) -> TextEncoderConfig:
    """Return settings from the published keys and the extra keys of one side.

    Raises:
        ModelError: The pooling is unknown.
    """
    return TextEncoderConfig(
        model_name_or_path=kwargs.get("model_name_or_path", ""),
        pooling=_pooling(kwargs.get("pooling_type", "cls"), extras, key="pooling_type"),
        normalize=bool(extras.get("normalize", False)),
        freeze_transformer=bool(kwargs.get("freeze_transformer", False)),
        query_projection=extras.get("query_projection"),
    )


def hypencoder_config(kwargs: Json, extras: Json) -> HypencoderConfig:
    """Return settings from the published keys and the extra keys of a query side.

    Raises:
        ModelError: The pooling of the query vector is unknown.
    """
    pooling = kwargs.get("embedding_representation")
    if pooling is not None:
        pooling = _pooling(pooling, extras, key="embedding_representation")
    return HypencoderConfig(
        model_name_or_path=kwargs.get("model_name_or_path", ""),
        converter_kwargs=kwargs.get("converter_kwargs", {}),
        converter=kwargs.get("converter"),
        freeze_transformer=bool(kwargs.get("freeze_transformer", False)),
        embedding_representation=pooling,
        normalize=bool(extras.get("normalize", False)),
        base_encoder_output_dim=int(kwargs.get("base_encoder_output_dim", 768)),
    )


def loss_configs(raw: Json) -> tuple[LossConfig, ...]:
    """Return the losses of a ``config.json``; its keys may hold one value or a list.

    Raises:
        ModelError: Names and options differ in number.
    """
    ours = _ours(raw).get("losses")
    if ours is not None:
        return tuple(LossConfig(loss["name"], loss["options"]) for loss in ours)
    names, options = raw.get("loss_type", ""), raw.get("loss_kwargs", {})
    names = [names] if isinstance(names, str) else list(names)
    options = [options] if isinstance(options, Mapping) else list(options)
    if len(names) != len(options):
        raise ModelError(
            f"loss_type names {len(names)} losses, loss_kwargs has options for {len(options)}."
        )
    return tuple(LossConfig(name, each) for name, each in zip(names, options, strict=True) if name)


def side_extras(raw: Json, side: str) -> Json:
    """Return the extra keys for ``query``, ``passage`` or ``encoder``; they may be empty.

    Raises:
        ModelError: A newer version of this package wrote the file.
    """
    extras: Json = _ours(raw).get(side, {})
    return extras


def _ours(raw: Json) -> Json:
    ours: Json | None = raw.get("hype")
    if ours is None:
        return {}
    if not isinstance(ours, Mapping):
        raise ModelError(f"config.json has {ours!r:.100} as 'hype', expected a table.")
    if ours.get("format") != FORMAT:
        raise ModelError(
            f"The checkpoint has hype format {ours.get('format')!r}; this version reads {FORMAT}.",
            hint="Install a newer version, from where this one came.",
        )
    return ours


def _pooling(published: object, extras: Json, *, key: str) -> Pooling:
    named = extras.get("pooling")
    if published not in _PUBLISHED_POOLING:
        raise ModelError(
            f"Unknown {key} {published!r} in config.json.",
            hint=f"Published checkpoints have one of: {', '.join(_PUBLISHED_POOLING)}.",
        )
    if named is None:
        return cast(Pooling, _PUBLISHED_POOLING[str(published)])
    pooling = checked_pooling(named, where="the key 'hype' of config.json")
    if _POOLING_FOR_PUBLISHED[pooling] != published:
        raise ModelError(
            f"config.json has {key} {published!r}, but pooling {pooling!r} under 'hype'.",
            hint="Other code changed the one and not the other: correct or remove the second.",
        )
    return pooling
