"""Loading and saving of all four model classes in the published layout.

This module does not use ``from_pretrained`` and ``save_pretrained`` of ``transformers``. In version
5, the first re-initialises unknown models and only prints missing weights, and the second refuses
shared tensors. Here an error names every missing or unexpected key.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from hypencli.errors import ModelError
from hypencli.models.checkpoints.backbone import describe_backbone, empty_backbone, resolve_backbone
from hypencli.models.checkpoints.companions import CONFIG_FILE
from hypencli.models.checkpoints.config import (
    FORMAT,
    DualEncoderConfig,
    EncoderConfig,
    Json,
    side_extras,
)
from hypencli.models.checkpoints.known_backbones import KNOWN_BACKBONES
from hypencli.models.checkpoints.native.backbone import empty_native_backbone
from hypencli.models.checkpoints.native.config import NativeConfig, native_config
from hypencli.models.checkpoints.weights import (
    State,
    accounted_for,
    locate,
    mirror_shared,
    read_config,
    read_weights,
    refuse_non_finite,
    write_weights,
)

DUAL_ARCHITECTURES = ("HypencoderDualEncoder", "TextDualEncoder")
"""Names of dual encoders under ``architectures`` in ``config.json``."""


class Checkpointed(nn.Module):
    """A model with ``from_pretrained`` and ``save_pretrained``."""

    loaded_from: ClassVar[Mapping[str, str]]
    """Architecture in ``config.json`` -> prefix of the keys of this model in the state dict."""

    settings: EncoderConfig | DualEncoderConfig

    @classmethod
    def read_settings(cls, raw: Json) -> EncoderConfig | DualEncoderConfig:
        """Return settings from a ``config.json`` of any architecture that this class loads."""
        raise NotImplementedError

    @classmethod
    def assemble(
        cls, settings: Any, backbones: Mapping[str, nn.Module], *, trust_code: bool = False
    ) -> Self:
        """Make a model around its backbones by side; its own weights are uninitialised."""
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        """The type of the parameters, as the models of ``transformers`` have it."""
        return next(self.parameters()).dtype

    def backbones(self) -> Mapping[str, nn.Module]:
        """Return the backbone of each side: ``query`` and ``passage``, or ``encoder``."""
        raise NotImplementedError

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        backbone: str | Path | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        trust_code: bool = False,
        native: bool = False,
    ) -> Self:
        """Load a checkpoint of published code or of this package, in evaluation mode.

        Only the checkpoint is downloaded, and the random state of the caller is unchanged.

        Args:
            source: A folder, or a name on the hub.
            backbone: The source of the backbone configuration if the checkpoint lacks it: a known
                name, a folder, or a hub name.
            device: The device of the model; None means the CPU.
            dtype: The dtype of the model; None means float32 for every file.
            trust_code: Whether a q-net converter that the checkpoint names may be imported.
            native: Whether to build a backbone of a usual kind without ``transformers``, for a
                quick start; its vectors are the same, and it has no activation checkpointing.

        Raises:
            ModelError: The checkpoint does not exist or is of another kind; weights are missing,
                unexpected, misshapen or not finite; or the backbone configuration is unknown.
        """
        folder = locate(source)
        raw = read_config(folder)
        prefix = cls.prefix_in(raw, folder)
        state = read_weights(folder)
        if raw.get("shared_encoder", False):
            state = mirror_shared(state)
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        settings = cls.read_settings(raw)
        named = None if backbone is None else str(backbone)
        skeletons = _skeletons(
            settings, raw, prefix=prefix, state=state, named=named, weights=folder, native=native
        )
        # A user's converter may draw from the global generator, as torch modules do.
        with torch.random.fork_rng(devices=[]):
            model = cls.assemble(settings, skeletons.modules, trust_code=trust_code)
        fitting = accounted_for(
            state, model.state_dict(), where=f"{folder} (backbone: {skeletons.source})"
        )
        model.load_state_dict(fitting, strict=False)
        refuse_non_finite(model, where=str(folder))
        return model.to(device=device, dtype=torch.float32 if dtype is None else dtype).eval()

    @classmethod
    def prefix_in(cls, raw: Json, folder: Path) -> str:
        """Return the prefix of the keys of this model in the weights beside a ``config.json``.

        Raises:
            ModelError: The file describes another kind of model.
        """
        named = [name for name in raw.get("architectures") or [] if name in cls.loaded_from]
        if not named:
            raise ModelError(
                f"{folder} holds {raw.get('architectures') or 'a model without architectures'}; "
                f"{cls.__name__} loads {', '.join(cls.loaded_from)}."
            )
        return cls.loaded_from[named[0]]

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        tokenizer: Any | None = None,
        state_dict: Mapping[str, Tensor] | None = None,
        is_main_process: bool = True,
    ) -> None:
        """Write ``config.json``, ``model.safetensors`` and the files of the tokenizer, if any.

        Published code loads the result, but ignores the settings that it cannot express, which are
        under the key ``hype`` of ``config.json``. Masked mean pooling is written as ``pooling_type:
        "mean"``, which published code reads as the mean with padding. It ignores ``normalize``, a
        query projection, and converters other than the published one.

        Args:
            folder: The target; it is created if it does not exist.
            tokenizer: A tokenizer to save beside the weights, so that the folder is complete.
            state_dict: Tensors to write instead of those of the model, such as a trainer gathers.
            is_main_process: Whether to write at all; False in other processes of a distributed run.
        """
        if not is_main_process:
            return
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        shared = isinstance(self.settings, DualEncoderConfig) and self.settings.shared_encoder
        write_weights(
            target, self.state_dict() if state_dict is None else state_dict, shared=shared
        )
        text = json.dumps(config_json(self), indent=2, sort_keys=True) + "\n"
        (target / CONFIG_FILE).write_text(text, encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save_pretrained(str(target))


def config_json(model: Checkpointed) -> dict[str, Any]:
    """Return the ``config.json`` of a model: the published keys, and extra ones in ``hype``."""
    backbones = model.backbones()
    ours: dict[str, Any] = {"format": FORMAT}
    if isinstance(model.settings, DualEncoderConfig):
        ours |= model.settings.extras()
    for side, settings in _sides(model.settings).items():
        config: Any = backbones[side].config
        ours[side] = {**settings.extras(), "backbone": describe_backbone(config)}
    return {
        "architectures": [type(model).__name__],
        **model.settings.published(),
        "torch_dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "transformers_version": importlib.metadata.version("transformers"),
        "hype": ours,
    }


def extras_of(raw: Json, side: str) -> Json:
    """Return the extra keys for a side, from the file of a dual encoder or of one encoder."""
    is_dual = any(name in DUAL_ARCHITECTURES for name in raw.get("architectures") or [])
    return side_extras(raw, side if is_dual else "encoder")


@dataclass(frozen=True)
class _Skeletons:
    modules: Mapping[str, nn.Module]
    source: str


def _sides(settings: EncoderConfig | DualEncoderConfig) -> Mapping[str, EncoderConfig]:
    if isinstance(settings, DualEncoderConfig):
        return {"query": settings.query, "passage": settings.passage}
    return {"encoder": settings}


def _skeletons(
    settings: EncoderConfig | DualEncoderConfig,
    raw: Json,
    *,
    prefix: str,
    state: State,
    named: str | None,
    weights: Path,
    native: bool,
) -> _Skeletons:
    modules: dict[str, nn.Module] = {}
    sources: list[str] = []
    for side, each in _sides(settings).items():
        if modules and isinstance(settings, DualEncoderConfig) and settings.shared_encoder:
            modules[side] = next(iter(modules.values()))
            continue
        of = prefix.partition("_")[0] if prefix else side
        name, saved = each.model_name_or_path, extras_of(raw, of).get("backbone")
        inner = f"{side}_encoder." if isinstance(settings, DualEncoderConfig) else ""
        pooler = any(key.startswith(f"{inner}transformer.pooler.") for key in state)
        known = _native_backbone(name, saved=saved, named=named) if native else None
        if known is not None:
            config, source = known
            modules[side] = empty_native_backbone(config, with_pooler=pooler, weights=weights)
        else:
            backbone = resolve_backbone(name, saved=saved, named=named)
            modules[side] = empty_backbone(backbone.config, with_pooler=pooler, weights=weights)
            source = backbone.source
        sources.append(source)
    return _Skeletons(modules, " and ".join(dict.fromkeys(sources)))


def _native_backbone(
    name: str, *, saved: object, named: str | None
) -> tuple[NativeConfig, str] | None:
    """Return the configuration of a backbone that is built without the library, and its source.

    The sources are the first of :func:`resolve_backbone`; None if the library must read them.
    """
    if named is None and isinstance(saved, Mapping):
        fields, source = saved, "the checkpoint's config.json"
    elif named is None and saved is not None:
        return None
    else:
        known = KNOWN_BACKBONES.get(named or name)
        fields, source = known or {}, f"the known backbone {named or name!r}"
    config = native_config(fields)
    return None if config is None else (config, source)
