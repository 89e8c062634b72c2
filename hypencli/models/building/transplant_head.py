"""Transplant of the hyper-head of a trained Hypencoder to another backbone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from hypencli.errors import ModelError
from hypencli.models.checkpoints.weights import (
    State,
    accounted_for,
    locate,
    read_config,
    read_weights,
)
from hypencli.models.hypernet import HEAD_KEYS, Hypencoder


def take_hyper_head(encoder: Hypencoder, source: str | Path) -> None:
    """Copy the hyper-head of the Hypencoder at ``source`` into ``encoder``, in place.

    The head has the parameters of :data:`~hypencli.models.hypernet.HEAD_KEYS`. The backbone and the
    converter of ``source`` are not built, so their configuration and code are not needed.

    Deviation: the reproduction's code (Eichholtz et al., SIGIR 2026) copies the keys that both
    models have and ignores the others without a message; here an error names every key that does
    not fit.

    Args:
        encoder: The query side of a model.
        source: A Hypencoder, or a dual encoder with one: a folder, or a name on the hub.

    Raises:
        ModelError: The source has no Hypencoder, or its head has other layers or another width.
    """
    folder = locate(source)
    prefix = _prefix_in(folder)
    held = read_weights(folder)
    head = accounted_for(
        _head({k.removeprefix(prefix): v for k, v in held.items() if k.startswith(prefix)}),
        _head(encoder.state_dict()),
        where=f"the hyper-head of {source}",
        hint="A hyper-head fits q-nets of the same layers on an encoder of the same width: set "
        "model.converter.layers, or choose another backbone.",
    )
    encoder.load_state_dict(head, strict=False)


def _prefix_in(folder: Path) -> str:
    try:
        return Hypencoder.prefix_in(read_config(folder), folder)
    except ModelError as error:
        raise ModelError(
            f"No hyper-head to take: {error.message}",
            hint="model.hyper_head_from names a trained Hypencoder: a folder, a model of the "
            "store, or a name on the hub.",
        ) from error


def _head(state: Mapping[str, Tensor]) -> State:
    return {key: tensor for key, tensor in state.items() if key.partition(".")[0] in HEAD_KEYS}
