"""Fingerprints: what identifies a model's numbers, whatever folder or file layout it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hypencli.models.checkpoints.backbone import backbone_fields_that_matter
from hypencli.models.checkpoints.config import DualEncoderConfig, EncoderConfig
from hypencli.models.dual import DualEncoder
from hypencli.models.encoder import TokenEncoder

_NOT_ABOUT_NUMBERS = ("model_name_or_path", "freeze_transformer")


def passage_fingerprint(dual: DualEncoder) -> str:
    """SHA-256, in hex, of all that a passage vector depends on but the tokenizer and the length.

    It does not depend on the query side: models around one frozen passage encoder share it, and so
    the vectors made with it. The pooler's weights are left out; nothing reads them.
    """
    settings = dual.settings
    return _digest("passage", _facts(settings.passage, dual.passage_encoder), dual.passage_encoder)


def model_fingerprint(dual: DualEncoder) -> str:
    """SHA-256, in hex, of all that a score depends on but the tokenizer and the lengths."""
    settings: DualEncoderConfig = dual.settings
    facts = {
        "architecture": type(dual).__name__,
        "query": _facts(settings.query, dual.query_encoder),
        "passage": _facts(settings.passage, dual.passage_encoder),
    }
    return _digest("model", facts, dual)


def backbone_fingerprint(encoder: TokenEncoder) -> str:
    """SHA-256, in hex, of all that token states depend on but the tokenizer and the length."""
    config: Any = encoder.transformer.config
    return _digest(
        "backbone", {"backbone": backbone_fields_that_matter(config)}, encoder.transformer
    )


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """SHA-256, in hex, of how a fast tokenizer cuts text; not of padding and truncation."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.pop("padding", None)
    state.pop("truncation", None)
    return hashlib.sha256(_canonical(state)).hexdigest()


def _facts(settings: EncoderConfig, encoder: nn.Module) -> dict[str, Any]:
    config: Any = encoder.transformer.config  # type: ignore[union-attr]
    published = {k: v for k, v in settings.published().items() if k not in _NOT_ABOUT_NUMBERS}
    # The published name of a pooling is ambiguous; ours, in the extras, is not.
    published.pop("pooling_type", None)
    published.pop("embedding_representation", None)
    return {
        **published,
        **settings.extras(),
        "backbone": backbone_fields_that_matter(config),
    }


def _digest(kind: str, facts: Mapping[str, Any], module: nn.Module) -> str:
    digest = hashlib.sha256(_canonical({"kind": kind, **facts}))
    for name, tensor in sorted(module.state_dict().items()):
        if ".pooler." in f".{name}" or name.endswith(".position_ids"):
            continue
        digest.update(_canonical([name, str(tensor.dtype), list(tensor.shape)]))
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()
