"""Fingerprints, which identify the weights of a model in any folder or file layout."""

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
    """Return a SHA-256 in hex of all that passage vectors depend on, but tokenizer and length.

    It does not depend on the query side, so models with one frozen passage encoder share it and
    their vectors. The weights of the pooler are excluded, because nothing reads them.
    """
    settings = dual.settings
    return _digest("passage", _facts(settings.passage, dual.passage_encoder), dual.passage_encoder)


def vectors_fingerprint(passage_encoder: str, tokenizer: str) -> str:
    """Return a SHA-256 in hex of all that passage vectors depend on, but length and arithmetic.

    Args:
        passage_encoder: The :func:`passage_fingerprint`.
        tokenizer: The :func:`tokenizer_fingerprint`.
    """
    return hashlib.sha256(f"{passage_encoder} {tokenizer}".encode()).hexdigest()


def model_fingerprint(dual: DualEncoder) -> str:
    """Return a SHA-256 in hex of all that scores depend on, but tokenizer and lengths."""
    settings: DualEncoderConfig = dual.settings
    facts = {
        "architecture": type(dual).__name__,
        "query": _facts(settings.query, dual.query_encoder),
        "passage": _facts(settings.passage, dual.passage_encoder),
    }
    return _digest("model", facts, dual)


def backbone_fingerprint(encoder: TokenEncoder) -> str:
    """Return a SHA-256 in hex of all that token states depend on, but tokenizer and length."""
    config: Any = encoder.transformer.config
    return _digest(
        "backbone", {"backbone": backbone_fields_that_matter(config)}, encoder.transformer
    )


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Return a SHA-256 in hex of a fast tokenizer, without its padding and truncation."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.pop("padding", None)
    state.pop("truncation", None)
    return hashlib.sha256(_canonical(state)).hexdigest()


def _facts(settings: EncoderConfig, encoder: nn.Module) -> dict[str, Any]:
    config: Any = encoder.transformer.config  # type: ignore[union-attr]
    published = {k: v for k, v in settings.published().items() if k not in _NOT_ABOUT_NUMBERS}
    # The published name of a pooling is ambiguous; the name in the extra keys is not.
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
