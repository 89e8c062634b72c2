"""Losses by name: the shipped ones, and those that installed packages offer."""

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
"""Entry points of installed packages: the name of a loss, and its class."""


def loss_class(name: str) -> type[Loss]:
    """The loss of a name: a shipped one, or one that an installed package offers.

    Raises:
        ModelError: There is none, or what the package offers is no loss.
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
    """The names of all losses, the shipped ones first."""
    return [*LOSSES, *(name for name in offered_names(LOSSES_GROUP) if name not in LOSSES)]


def make_losses(configs: Sequence[LossConfig]) -> dict[str, Loss]:
    """The losses of a model by their names; one that comes again has its number: ``name_2``.

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
    # Published configurations may name this option; published code never reads it.
    if options.get("use_query_embedding_representation") is False:
        del options["use_query_embedding_representation"]
    try:
        return loss(**options)
    except TypeError as error:
        raise ModelError(f"The loss {config.name!r} refuses its options: {error}.") from error
