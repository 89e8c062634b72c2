"""Use of a model by the published code: obstacles, and differences in its results."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from hypencli.models.checkpoints.config import DualEncoderConfig, HypencoderConfig
from hypencli.models.dual import DualEncoder
from hypencli.models.qnets.registry import PUBLISHED_CONVERTER
from hypencli.paths import exists

_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True)
class PublishedUse:
    """The use of a checkpoint by the published code, in sentences.

    Attributes:
        obstacles: Reasons why the published code cannot use it; empty if it can.
        differences: Results that it computes differently.
    """

    obstacles: tuple[str, ...]
    differences: tuple[str, ...]


def published_use(settings: DualEncoderConfig) -> PublishedUse:
    """Determine how the published code can use a model.

    Source: the published classes ``Hypencoder``, ``TextEncoder`` and ``TextDualEncoder``, and the
    options that they read.
    """
    query, passage = settings.query, settings.passage
    obstacles, differences = [], []
    if not isinstance(query, HypencoderConfig):
        obstacles.append("its TextDualEncoder does not define losses and fails when it is made")
    elif query.converter not in (None, PUBLISHED_CONVERTER):
        obstacles.append(
            f"its q-nets have one architecture, {PUBLISHED_CONVERTER}, and those of this model "
            f"another, {query.converter}: it refuses the model, or scores with other q-nets"
        )
    if passage.normalize:
        differences.append(
            "it does not scale vectors to length 1, as this model does: scale its passage vectors "
            "before the q-nets score them"
        )
    if passage.pooling == "mean":
        differences.append(
            "its mean pooling counts padding too: it makes the same passage vectors only where "
            "all texts of a batch have one length"
        )
    return PublishedUse(tuple(obstacles), tuple(differences))


def backbone_names(settings: DualEncoderConfig) -> tuple[str, ...]:
    """Return the names that published code passes to ``AutoModel.from_pretrained``, once each."""
    names = (settings.query.model_name_or_path, settings.passage.model_name_or_path)
    return tuple(dict.fromkeys(names))


def is_hub_name(name: str) -> bool:
    """Return whether a name may be that of a hub repository, and is no local folder."""
    return _HUB_NAME.fullmatch(name) is not None and not exists(name)


def name_backbone(dual: DualEncoder, name: str) -> None:
    """Record another name for the backbone of both sides; change nothing else."""
    settings = dual.settings
    dual.settings = replace(
        settings,
        query=replace(settings.query, model_name_or_path=name),
        passage=replace(settings.passage, model_name_or_path=name),
    )
