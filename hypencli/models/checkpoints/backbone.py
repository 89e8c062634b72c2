"""Backbones: text encoders that ``AutoModel`` knows, and the sources of their configurations.

A published checkpoint holds all weights but not the configuration of its backbone, which gives the
number of attention heads. :func:`resolve_backbone` finds the configuration.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hypencli.errors import ModelError
from hypencli.models.checkpoints.known_backbones import KNOWN_BACKBONES
from hypencli.models.checkpoints.untrusted import (
    library_errors,
    reason,
    refuse_unless_filled,
    refuse_unsafe,
)
from hypencli.models.checkpoints.weights import (
    make_private,
    refuse_non_finite,
    refuse_odd_parts,
    within_reach,
)
from hypencli.paths import is_dir, is_file

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_NOT_ABOUT_VECTORS = frozenset(
    (
        "chunk_size_feed_forward",
        "initializer_range",
        "output_attentions",
        "output_hidden_states",
        "problem_type",
        "return_dict",
        "use_cache",
    )
)
_NOT_ARCHITECTURE = frozenset(
    (
        "_name_or_path",
        "architectures",
        "dtype",
        "torch_dtype",
        "transformers_version",
        "id2label",
        "label2id",
        "gradient_checkpointing",
    )
)


@dataclass(frozen=True)
class ResolvedBackbone:
    """The configuration of a backbone, and its source for error messages."""

    config: PretrainedConfig
    source: str


def resolve_backbone(
    name: str, *, saved: Mapping[str, Any] | None = None, named: str | None = None
) -> ResolvedBackbone:
    """Find the configuration of a checkpoint's backbone; read and download nothing else.

    The sources, in order: the name from the user; the configuration that this package saved in the
    checkpoint; the table :data:`KNOWN_BACKBONES`; the local folder or the hub cache under the
    checkpoint's ``model_name_or_path``.

    Args:
        name: The checkpoint's ``model_name_or_path``.
        saved: The configuration that this package saved, if any.
        named: A known name, a folder, or a hub name from the user.

    Raises:
        ModelError: No source has a configuration, or it is not that of an encoder.
    """
    if named is not None:
        resolved = _known_backbone(named) or _read(named, local_only=False)
        if resolved is None:
            raise ModelError(
                f"No backbone configuration at {named!r}: not a folder, not on the hub."
            )
    else:
        resolved = _saved(saved) or _known_backbone(name) or _read(name, local_only=True)
    if resolved is None:
        raise ModelError(
            f"The checkpoint does not say how its backbone {name!r} is built: num_attention_heads, "
            "hidden_act and layer_norm_eps are not in the weights. Looked in: the checkpoint's key "
            "'hype', the known backbones, a local folder of that name, the hub cache.",
            hint="Name its backbone: `backbone=NAME_OR_FOLDER`",
        )
    refuse_unless_encoder(resolved.config, name=named or name)
    return resolved


def describe_backbone(config: PretrainedConfig) -> dict[str, Any]:
    """Return the part of a configuration that a checkpoint must keep, as plain JSON values."""
    kept = {key: value for key, value in config.to_dict().items() if key not in _NOT_ARCHITECTURE}
    return {**kept, "model_type": config.model_type}


def backbone_fields_that_matter(config: PretrainedConfig) -> dict[str, Any]:
    """Return the fields that vectors depend on, without defaults, so they outlast versions."""
    changed = config.to_diff_dict()
    kept = {
        key: value
        for key, value in changed.items()
        if key not in _NOT_ARCHITECTURE | _NOT_ABOUT_VECTORS and "dropout" not in key
    }
    return {**kept, "model_type": config.model_type}


def library_config(fields: Mapping[str, Any]) -> PretrainedConfig:
    """Return the configuration of an encoder that was built without the library.

    Raises:
        ModelError: The library cannot build it.
    """
    return _from_fields(fields, source="the configuration").config


def backbone_width(config: Any) -> int:
    """Return the width of the token states, ``h``.

    Args:
        config: The configuration of the library, or of an encoder built without it.

    Raises:
        ModelError: The configuration has no field for the width.
    """
    for key in ("hidden_size", "dim", "d_model"):
        width = getattr(config, key, None)
        if isinstance(width, int):
            return width
    raise ModelError(f"A backbone of type {config.model_type!r} does not state its hidden_size.")


def most_tokens(backbone: nn.Module) -> int | None:
    """Return the most tokens a backbone has positions for; None if positions are relative."""
    positions = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    if not isinstance(positions, nn.Embedding):
        return None
    # RoBERTa and MPNet number positions from the one after the padding position.
    before = 0 if positions.padding_idx is None else positions.padding_idx + 1
    return positions.num_embeddings - before


def refuse_unknown_tokens(backbone: nn.Module, largest: int) -> None:
    """Refuse a token id beyond the embeddings, before a device fails on it.

    Args:
        backbone: The backbone.
        largest: The largest token id that it is to read.

    Raises:
        ModelError: The backbone has no embedding for this token.
    """
    lookup: Any = getattr(backbone, "get_input_embeddings", None)
    table = None if lookup is None else lookup()
    if isinstance(table, nn.Embedding) and largest >= table.num_embeddings:
        raise ModelError(
            f"The tokenizer gives the token id {largest:,}, and the encoder has embeddings for "
            f"the ids below {table.num_embeddings:,}.",
            hint="Tokenizer and weights are not of one model: take the tokenizer files that the "
            "encoder came with.",
        )


def refuse_unless_encoder(config: PretrainedConfig, *, name: str) -> None:
    """Refuse a model that reads text in one direction only, or has a decoder.

    Raises:
        ModelError: ``config`` is not that of an encoder.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = config.model_type
    decoder_only = (
        kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )
    one_way = decoder_only or bool(getattr(config, "is_decoder", False))
    if one_way or getattr(config, "is_encoder_decoder", False):
        what = "a decoder" if one_way else "an encoder with a decoder"
        raise ModelError(
            f"The backbone {name!r} ({kind}) is {what}; expected a text encoder.",
            hint="Encoders are for example BERT, MPNet, DistilBERT, RoBERTa and ModernBERT.",
        )


def empty_backbone(
    config: PretrainedConfig, *, with_pooler: bool, weights: Path | None = None
) -> nn.Module:
    """Make a backbone with uninitialised weights; draw no random numbers.

    Args:
        config: The configuration of the backbone.
        with_pooler: Whether to make the pooler, which is never used.
        weights: The folder of its weights, if any; their size bounds that of the backbone.

    Raises:
        ModelError: The configuration cannot be built, or does not fit these weights.
    """
    from transformers import AutoModel
    from transformers.initialization import no_init_weights

    make: Any = AutoModel.from_config
    try:
        with no_init_weights():
            if weights is not None:
                refuse_unless_filled(make, config, weights)
            model = make(config, dtype=torch.float32, trust_remote_code=False)
    except ModelError:
        raise
    except library_errors() as error:
        raise ModelError(
            f"A backbone of the type {config.model_type!r} cannot be built: {reason(error)}"
        ) from error
    if not with_pooler and getattr(model, "pooler", None) is not None:
        model.pooler = None
    return _as_module(model)


def load_backbone(source: str) -> nn.Module:
    """Load a pre-trained backbone in float32, in evaluation mode.

    Args:
        source: A folder, or a name on the hub.

    Raises:
        ModelError: The backbone does not exist or is not an encoder, or weights are damaged, not
            finite or missing (only a pooler may be missing).
    """
    from transformers import AutoModel

    resolved = _read(source, local_only=False)
    if resolved is None and is_file(Path(source) / "config.json"):
        raise ModelError(
            f"{source}/config.json describes no model that this transformers knows.",
            hint="Expected a text encoder, such as BERT: see the key model_type in it.",
        )
    if resolved is None:
        raise ModelError(
            f"No encoder at {source!r}: not a folder with one, not within reach on the hub.",
            hint="Name a folder with config.json and model.safetensors, or a hub name.",
        )
    refuse_unless_encoder(resolved.config, name=source)
    try:
        if is_dir(source):
            refuse_odd_parts(Path(source))
            refuse_unless_filled(AutoModel.from_config, resolved.config, Path(source))
        with _quietly():
            model, report = AutoModel.from_pretrained(
                within_reach(source),
                dtype=torch.float32,
                output_loading_info=True,
                trust_remote_code=False,
                weights_only=True,
            )
    except ModelError:
        raise
    except library_errors() as error:
        raise ModelError(f"The encoder at {source!r} cannot be loaded: {reason(error)}") from error
    make_private(model)
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise ModelError(f"The encoder at {source!r} lacks weights: {', '.join(missing[:5])}.")
    refuse_non_finite(model, where=f"the encoder at {source!r}")
    return _as_module(model)


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the progress bar and the report of the library, and keep the random state.

    The library fills missing weights (those of a pooler) at random. Here they depend on a fixed
    seed, and the random state of the caller is restored.
    """
    from transformers.utils import logging

    library: Any = logging
    had_bar, verbosity = library.is_progress_bar_enabled(), library.get_verbosity()
    library.disable_progress_bar()
    library.set_verbosity_error()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # the CPU only: others are not restored
            yield
    finally:
        library.set_verbosity(verbosity)
        if had_bar:
            library.enable_progress_bar()


def _as_module(model: Any) -> nn.Module:
    module: nn.Module = model
    return module.eval()


def _saved(saved: Mapping[str, Any] | None) -> ResolvedBackbone | None:
    return None if saved is None else _from_fields(saved, source="the checkpoint's config.json")


def _known_backbone(name: str) -> ResolvedBackbone | None:
    fields = KNOWN_BACKBONES.get(name)
    return None if fields is None else _from_fields(fields, source=f"the known backbone {name!r}")


def _from_fields(fields: Mapping[str, Any], *, source: str) -> ResolvedBackbone:
    from transformers import CONFIG_MAPPING, AutoConfig

    options = dict(fields)
    kind = options.pop("model_type", None)
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise ModelError(
            f"{source} has a backbone of type {kind!r:.100}, which this transformers lacks.",
            hint="pip install --upgrade transformers",
        )
    try:
        config = AutoConfig.for_model(kind, **options)
    except library_errors() as error:
        raise ModelError(
            f"{source} has a backbone that cannot be built: {reason(error)}"
        ) from error
    refuse_unsafe(config, where=source)
    return ResolvedBackbone(config, source)


def _read(name: str, *, local_only: bool) -> ResolvedBackbone | None:
    if not name:
        return None
    folder = Path(name)
    if not is_dir(folder) and (folder.is_absolute() or name.startswith((".", os.sep))):
        return None
    place = name if local_only else within_reach(name)
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(
            place, local_files_only=local_only, trust_remote_code=False
        )
    except (OSError, ValueError):
        return None
    except library_errors() as error:
        raise ModelError(
            f"The configuration at {name!r} cannot be read: {reason(error)}"
        ) from error
    refuse_unsafe(config, where=repr(name))
    return ResolvedBackbone(config, f"{name!r}")
