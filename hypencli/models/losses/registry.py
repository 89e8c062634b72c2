"""Lookup of losses by name: shipped ones, and those of installed packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hypencli.errors import ModelError, did_you_mean
from hypencli.models.losses.base import Loss
from hypencli.models.losses.cross_entropy import CrossEntropy
from hypencli.models.losses.margin_mse import MarginMSE
from hypencli.models.losses.self_distillation import SelfDistillation
from hypencli.plugins import offered, offered_names

if TYPE_CHECKING:
    from hypencli.models.checkpoints.config import LossConfig

LOSSES: Mapping[str, type[Loss]] = {
    "margin_mse": MarginMSE,
    "cross_entropy": CrossEntropy,
    "self_distillation": SelfDistillation,
}
"""Shipped losses by name; the first two names are the published ones."""

LOSSES_GROUP = "hypencli.losses"
"""Group of entry points of installed packages: name of a loss -> its class."""


def loss_class(name: str) -> type[Loss]:
    """Return the loss class with a name: a shipped one, or one of an installed package.

    Raises:
        ModelError: No loss has that name, or the object of a package is no loss.
    """
    if name in LOSSES:
        return LOSSES[name]
    candidate = offered(LOSSES_GROUP, name)
    if candidate is None:
        raise ModelError(f"Unknown loss {name!r}.", hint=did_you_mean(name, loss_names()))
    if not (isinstance(candidate, type) and issubclass(candidate, Loss)):
        raise ModelError(
            f"The loss {name!r} is not a class that derives from hypencli.models.losses.base.Loss.",
            hint="See docs/extending.md.",
        )
    return candidate


def loss_names() -> list[str]:
    """Return the names of all losses, shipped ones first."""
    return [*LOSSES, *(name for name in offered_names(LOSSES_GROUP) if name not in LOSSES)]


def make_losses(configs: Sequence[LossConfig]) -> dict[str, Loss]:
    """Make the losses of a model, by name; the second of one name is ``name_2``.

    Raises:
        ModelError: A name is unknown, or a loss refuses its options.
    """
    losses: dict[str, Loss] = {}
    for i, config in enumerate(configs):
        before = [each.name for each in configs[:i]].count(config.name)
        losses[f"{config.name}_{before + 1}" if before else config.name] = _make(config)
    return losses


def _make(config: LossConfig) -> Loss:
    loss = loss_class(config.name)
    options: dict[str, Any] = dict(config.options)
    # Published configurations may have this option, but published code never reads it.
    if options.get("use_query_embedding_representation") is False:
        del options["use_query_embedding_representation"]
    try:
        return loss(**options)
    except TypeError as error:
        raise ModelError(f"The loss {config.name!r} refuses its options: {error}.") from error
