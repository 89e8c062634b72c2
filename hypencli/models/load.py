"""The public functions of the models layer: load, build and identify models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from hypencli.errors import ModelError
from hypencli.models.building.spec import ModelSpec, build_dual_encoder
from hypencli.models.checkpoints.backbone import load_backbone
from hypencli.models.checkpoints.config import (
    POOLINGS,
    DualEncoderConfig,
    Pooling,
    TextEncoderConfig,
    checked_pooling,
)
from hypencli.models.checkpoints.native.backbone import load_native_backbone
from hypencli.models.checkpoints.native.config import native_config
from hypencli.models.checkpoints.sentence import load_tokenizer, sentence_encoder_facts
from hypencli.models.checkpoints.weights import (
    WEIGHT_FILE,
    locate,
    read_config,
    refuse_odd_parts,
)
from hypencli.models.dual import DualEncoder, TextDualEncoder, dual_class
from hypencli.models.fingerprint import (
    model_fingerprint,
    passage_fingerprint,
    tokenizer_fingerprint,
    vectors_fingerprint,
)

__all__ = [
    "ModelSpec",
    "build_dual_encoder",
    "load_dual_encoder",
    "load_tokenizer",
    "locate",
    "model_fingerprint",
    "passage_fingerprint",
    "tokenizer_fingerprint",
    "vectors_fingerprint",
]


def load_dual_encoder(
    source: str | Path,
    *,
    backbone: str | Path | None = None,
    pooling: Pooling | None = None,
    normalize: bool | None = None,
    trust_code: bool = False,
) -> tuple[DualEncoder, Any]:
    """Load a model in float32, in evaluation mode, on the CPU, with its tokenizer.

    ``source`` may be a checkpoint of this package or of published code, or any text encoder that
    ``AutoModel`` loads. An encoder becomes a :class:`TextDualEncoder` with one shared backbone, and
    the pooling and normalisation of its ``modules.json`` and ``1_Pooling/config.json``.

    Args:
        source: A folder, or a name on the hub.
        backbone: The source of the backbone configuration if the checkpoint lacks it: a known name,
            a folder, or a hub name.
        pooling: Replaces the pooling that the model declares; needed if it declares none.
        normalize: Whether to scale vectors to length 1; None means what the model declares, else
            no.
        trust_code: Whether a q-net converter that the checkpoint names may be imported.

    Raises:
        ModelError: The model does not exist, a key or shape does not fit, or its pooling is
            unknown.
    """
    if pooling is not None:
        checked_pooling(pooling, where="the argument pooling")
    folder = locate(source)
    raw = read_config(folder)
    dual = dual_class(raw)
    if dual is not None:
        model: DualEncoder = dual.from_pretrained(
            folder, backbone=backbone, trust_code=trust_code, native=True
        )
        _override(model, pooling=pooling, normalize=normalize)
    elif "model_type" in raw:
        model = _plain_encoder(str(source), pooling=pooling, normalize=normalize)
    else:
        raise ModelError(
            f"{folder / 'config.json'} is neither a dual encoder's nor a plain encoder's.",
            hint="Expected architectures Hypencoder- or TextDualEncoder, or a model_type.",
        )
    return model, load_tokenizer(source, native=True)


def _plain_encoder(
    source: str, *, pooling: Pooling | None, normalize: bool | None
) -> TextDualEncoder:
    declared = sentence_encoder_facts(source)
    pooled = pooling or declared.pooling
    if pooled is None:
        raise ModelError(
            f"The encoder at {source!r} does not declare how it pools.",
            hint=f"Name its pooling, one of {', '.join(POOLINGS)}: `pooling={POOLINGS[1]}`",
        )
    side = TextEncoderConfig(
        model_name_or_path=source,
        pooling=pooled,
        normalize=bool(declared.normalize if normalize is None else normalize),
    )
    transformer = _native_backbone(source) or load_backbone(source)
    config = DualEncoderConfig(query=side, passage=side, shared_encoder=True)
    sides = {"query": transformer, "passage": transformer}
    return TextDualEncoder.assemble(config, sides).train(False)


def _native_backbone(source: str) -> nn.Module | None:
    """Load the backbone of a folder without ``transformers``; None if the library must do it."""
    folder = Path(source)
    if not (folder / WEIGHT_FILE).is_file():
        return None
    config = native_config(read_config(folder))
    if config is None:
        return None
    refuse_odd_parts(folder)
    return load_native_backbone(config, folder)


def _override(model: DualEncoder, *, pooling: Pooling | None, normalize: bool | None) -> None:
    """Replace the pooling and normalisation of text encoders by those of the caller."""
    changes: dict[str, Any] = {}
    if pooling is not None:
        changes["pooling"] = pooling
    if normalize is not None:
        changes["normalize"] = normalize
    if not changes:
        return
    passage = model.passage_encoder.settings = replace(model.passage_encoder.settings, **changes)
    query = model.settings.query
    if isinstance(model, TextDualEncoder):
        query = model.query_encoder.settings = replace(model.query_encoder.settings, **changes)
    model.settings = replace(model.settings, query=query, passage=passage)
