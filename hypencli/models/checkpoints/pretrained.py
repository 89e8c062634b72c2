"""Loading and saving in the published layout, for the four model classes alike.

``transformers`` is not asked to do it: on version 5 its ``from_pretrained`` re-initialises models
that it does not know and only prints which weights are missing, and its ``save_pretrained``
refuses shared tensors. Here every key is accounted for, or an error names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import transformers
from torch import Tensor, nn

from hypencli.errors import ModelError
from hypencli.models.checkpoints.backbone import describe_backbone, empty_backbone, resolve_backbone
from hypencli.models.checkpoints.config import (
    FORMAT,
    DualEncoderConfig,
    EncoderConfig,
    Json,
    side_extras,
)
from hypencli.models.checkpoints.weights import (
    CONFIG_FILE,
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
"""What ``config.json`` names under ``architectures`` for a dual encoder."""


class Checkpointed(nn.Module):
    """A model with ``from_pretrained`` and ``save_pretrained``."""

    loaded_from: ClassVar[Mapping[str, str]]
    """Architecture in ``config.json`` -> prefix of this model's part in the state dict."""

    settings: EncoderConfig | DualEncoderConfig

    @classmethod
    def read_settings(cls, raw: Json) -> EncoderConfig | DualEncoderConfig:
        """Settings of this class from a ``config.json`` of any architecture that it loads from."""
        raise NotImplementedError

    @classmethod
    def assemble(
        cls, settings: Any, backbones: Mapping[str, nn.Module], *, trust_code: bool = False
    ) -> Self:
        """A model around its backbones by side; its own weights are yet to be filled in."""
        raise NotImplementedError

    def backbones(self) -> Mapping[str, nn.Module]:
        """The backbone of each side: ``query`` and ``passage``, or ``encoder``."""
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
    ) -> Self:
        """Loads a checkpoint of published code or of this package, in evaluation mode.

        Nothing but the checkpoint is downloaded, and the caller's random state stays as it was.

        Args:
            source: A folder, or a name on the hub.
            backbone: Where the backbone's configuration is, when the checkpoint does not have it: a
                known name, a folder, or a hub name.
            device: Where to put the model; None leaves it on the CPU.
            dtype: Its dtype; None means float32, whatever the file has.
            trust_code: Whether a q-net converter that the checkpoint names may be imported.

        Raises:
            ModelError: It is not there, is of another kind, has missing, unexpected or misshapen
                weights or such as are not finite, or its backbone's configuration is unknown.
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
            settings, raw, prefix=prefix, state=state, named=named, weights=folder
        )
        # A user's own converter may draw from the global generator, as modules of torch do.
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
        """What this model's keys start with in the weights beside a ``config.json``.

        Raises:
            ModelError: The file is another model's.
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
        """Writes ``config.json``, ``model.safetensors`` and, where given, the tokenizer's files.

        Published code loads the result. What it cannot express is in ``config.json`` under the key
        ``hype``, and it computes without it: masked mean pooling is written as ``pooling_type:
        "mean"``, which published code reads as the mean over padding too; ``normalize``, a query
        projection and converters other than the published one it does not know.

        Args:
            folder: Made where it does not exist.
            tokenizer: Saved beside the weights, so that the folder is complete.
            state_dict: Tensors to write instead of the model's own, as a trainer gathers them.
            is_main_process: False writes nothing, for the other processes of a distributed run.
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
    """The ``config.json`` of a model: the published keys, and ours under ``hype``."""
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
        "transformers_version": transformers.__version__,
        "hype": ours,
    }


def extras_of(raw: Json, side: str) -> Json:
    """Our part of a ``config.json`` for a side, whether the file is a dual's or one encoder's."""
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
) -> _Skeletons:
    modules: dict[str, nn.Module] = {}
    sources: list[str] = []
    for side, each in _sides(settings).items():
        if modules and isinstance(settings, DualEncoderConfig) and settings.shared_encoder:
            modules[side] = next(iter(modules.values()))
            continue
        of = prefix.partition("_")[0] if prefix else side
        backbone = resolve_backbone(
            each.model_name_or_path, saved=extras_of(raw, of).get("backbone"), named=named
        )
        inner = f"{side}_encoder." if isinstance(settings, DualEncoderConfig) else ""
        pooler = any(key.startswith(f"{inner}transformer.pooler.") for key in state)
        modules[side] = empty_backbone(backbone.config, with_pooler=pooler, weights=weights)
        sources.append(backbone.source)
    return _Skeletons(modules, " and ".join(dict.fromkeys(sources)))
