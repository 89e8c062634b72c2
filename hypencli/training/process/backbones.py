"""Temporary changes of backbones for a training run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from hypencli.errors import ModelError
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
from hypencli.training.config import TrainingConfig


@contextmanager
def adapted_backbones(
    dual: HypencoderDualEncoder | TextDualEncoder, config: TrainingConfig
) -> Iterator[None]:
    """Freeze poolers, enable checkpointing and compile backbones; undo it on exit."""
    backbones = list({id(each): each for each in dual.backbones().values()}.values())
    poolers = [p for each in backbones for n, p in each.named_parameters() if "pooler." in n]
    trained = [parameter for parameter in poolers if parameter.requires_grad]
    for parameter in trained:  # a pooler is unused, but processes would wait for its gradient
        parameter.requires_grad_(False)
    for each in backbones:
        if config.activation_checkpointing:
            _enable_checkpointing(each)
        if config.compile:
            each.compile(dynamic=True)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
        for each in backbones:
            each._compiled_call_impl = None
            if config.activation_checkpointing:
                each.activation_checkpointing_disable()  # type: ignore[operator]


def _enable_checkpointing(backbone: nn.Module) -> None:
    enable: Any = getattr(backbone, "activation_checkpointing_enable", None)
    if enable is None or not getattr(backbone, "supports_gradient_checkpointing", False):
        raise ModelError(
            f"The encoder {type(backbone).__name__} has no activation checkpointing.",
            hint="Set training.activation_checkpointing = false; chunk_size saves memory too.",
        )
    enable(activation_checkpointing_kwargs={"use_reentrant": False})
