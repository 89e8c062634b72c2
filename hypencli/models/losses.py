"""Losses of a dual encoder: the published two, and a q-net's distillation from its own query.

Axes: ``q`` queries, ``m`` items a query (the positive first), ``n`` all items of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from hypencli.errors import (
    ModelError,
    UsageError,
    did_you_mean,
)
from hypencli.models.checkpoints.config import LossConfig


class QueryBatch(Protocol):
    """Queries that can score: a :class:`QNetBatch`, or :class:`InnerProducts` of a bi-encoder."""

    @property
    def num_queries(self) -> int:
        """How many queries, ``q``."""
        ...

    def __call__(self, items: Tensor) -> Tensor:
        """Outputs ``[q, m, 1]`` for each query's own items ``[q, m, d]``."""
        ...

    def score(self, items: Tensor) -> Tensor:
        """Scores ``[q, n]`` of the same items ``[n, d]`` for every query."""
        ...


@runtime_checkable
class EmbeddedQueries(QueryBatch, Protocol):
    """Queries that may have an embedding beside their q-net, which scores too."""

    @property
    def embedded(self) -> QueryBatch | None:
        """The same queries, scoring the same items by inner products with their embeddings."""
        ...


@dataclass(frozen=True)
class LossOutput:
    """A loss, and the similarities that it was computed from."""

    loss: Tensor
    similarity: Tensor


class Loss(Protocol):
    """A loss over a batch of queries and their passages."""

    needs_labels: ClassVar[bool]
    needs_query_embedding: ClassVar[bool]

    def __call__(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """The loss of ``q`` queries, passages ``[q * m, d]`` and a teacher's scores ``[q, m]``."""
        ...


@dataclass(frozen=True, kw_only=True)
class MarginMSE:
    """Mean squared error of the margins between positive and negatives against a teacher's.

    The similarities given back are pairs ``[q * (m - 1), 2]``, positive and negative, as published.

    Attributes:
        scale: Multiplies the loss.
    """

    needs_labels: ClassVar[bool] = True
    needs_query_embedding: ClassVar[bool] = False
    scale: float = 1.0

    def __call__(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """The loss of ``q`` queries with passages ``[q * m, d]`` and a teacher's scores ``[q, m]``.

        Raises:
            UsageError: Labels are missing or misshapen, or a query has no negative.
        """
        similarity = own_similarity(queries, passages)
        if labels is None or labels.shape != similarity.shape:
            label_shape = "none" if labels is None else f"shape {list(labels.shape)}"
            raise UsageError(
                f"margin_mse needs a teacher's scores [q, m] as labels: got {label_shape}, "
                "expected "
                f"shape {list(similarity.shape)}."
            )
        if similarity.shape[1] < 2:
            raise UsageError("margin_mse needs a positive and at least one negative a query.")
        pairs = margin_pairs(similarity)
        teacher = margin_pairs(labels.to(pairs.dtype))
        loss = functional.mse_loss(pairs[:, 0] - pairs[:, 1], teacher[:, 0] - teacher[:, 1])
        return LossOutput(self.scale * loss, pairs)


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Cross-entropy of the positive among other items.

    Attributes:
        use_in_batch_negatives: Whether the others are all items of the batch, ``[q, n]``, or only
            the query's own, ``[q, m]``.
        only_use_first_item: In the batch, whether only the first item of each query counts.
        scale: Multiplies the loss.
    """

    needs_labels: ClassVar[bool] = False
    needs_query_embedding: ClassVar[bool] = False
    use_in_batch_negatives: bool = True
    only_use_first_item: bool = False
    scale: float = 1.0

    def __call__(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """The loss of ``q`` queries with passages ``[q * m, d]``; labels are not used.

        Raises:
            UsageError: The passages cannot be divided among the queries.
        """
        n_queries = queries.num_queries
        per_query = items_per_query(queries, passages)
        if not self.use_in_batch_negatives:
            similarity = own_similarity(queries, passages)
            targets = torch.zeros(n_queries, dtype=torch.long, device=passages.device)
        else:
            if self.only_use_first_item:
                passages, per_query = passages[::per_query], 1
            similarity = _at_least_float32(queries.score(passages))
            targets = torch.arange(n_queries, device=passages.device) * per_query
        return LossOutput(self.scale * functional.cross_entropy(similarity, targets), similarity)


@dataclass(frozen=True, kw_only=True)
class SelfDistillation:
    """A q-net learns the scores of the model's own query embedding, without labels.

    Mean squared error over all passages of the batch, ``[q, n]``, between the q-net's scores and
    ``teacher_scale`` times the inner products, each less its mean over a query's passages: a
    constant a query moves no ranking, and a q-net's last layer has no bias to learn one with.
    Nothing is learned through the inner products.

    Deviation: not in the paper. It gives the published architecture, whose hyper-head starts as
    noise, the bi-encoder's ranking to start from. A warm-start q-net has that ranking already
    (where its ``projection_scale`` is ``teacher_scale``): there it only shuts the gate.

    Attributes:
        teacher_scale: Multiplies the inner products: those of normalised embeddings are cosines,
            too close together for the softmax of a cross-entropy that follows.
        scale: Multiplies the loss.
    """

    needs_labels: ClassVar[bool] = False
    needs_query_embedding: ClassVar[bool] = True
    teacher_scale: float = 1.0
    scale: float = 1.0

    def __call__(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """The loss of ``q`` queries with passages ``[n, d]``; labels are not used.

        Raises:
            ModelError: The queries have no embedding.
            UsageError: There is one passage only, and so no difference to learn.
        """
        teacher = queries.embedded if isinstance(queries, EmbeddedQueries) else None
        if teacher is None:
            raise no_query_embedding()
        similarity = _at_least_float32(queries.score(passages))
        if similarity.shape[1] < 2:
            raise UsageError("self_distillation needs at least two passages in a batch.")
        with torch.no_grad():
            taught = self.teacher_scale * _at_least_float32(teacher.score(passages))
        loss = functional.mse_loss(_centred(similarity), _centred(taught.to(similarity.dtype)))
        return LossOutput(self.scale * loss, similarity)


LOSSES: Mapping[str, type[MarginMSE | CrossEntropy | SelfDistillation]] = {
    "margin_mse": MarginMSE,
    "cross_entropy": CrossEntropy,
    "self_distillation": SelfDistillation,
}
"""Losses by name; the first two names are the published ones."""


def no_query_embedding() -> ModelError:
    """The error of a loss that needs query embeddings on a model that makes none."""
    return ModelError(
        "self_distillation learns from the query embedding beside the q-net, and the model makes "
        "none: it has no embedding_representation.",
        hint="Set embedding_representation of the model to the pooling of its passages: cls, mean "
        "or mean-unmasked.",
    )


def make_losses(configs: Sequence[LossConfig]) -> list[Loss]:
    """The losses of those names and options.

    Raises:
        ModelError: A name is unknown, or a loss refuses its options.
    """
    return [_make(config) for config in configs]


def _make(config: LossConfig) -> Loss:
    if config.name not in LOSSES:
        raise ModelError(f"Unknown loss {config.name!r}.", hint=did_you_mean(config.name, LOSSES))
    options: dict[str, Any] = dict(config.options)
    # Published configurations may name this option; published code never reads it.
    if options.get("use_query_embedding_representation") is False:
        del options["use_query_embedding_representation"]
    try:
        return LOSSES[config.name](**options)
    except TypeError as error:
        raise ModelError(f"The loss {config.name!r} refuses its options: {error}.") from error


def items_per_query(queries: QueryBatch, passages: Tensor) -> int:
    """How many of the passages ``[q * m, d]`` belong to each query, ``m``.

    Raises:
        UsageError: They cannot be divided among the queries.
    """
    if passages.shape[0] == 0 or passages.shape[0] % queries.num_queries:
        raise UsageError(
            f"{passages.shape[0]} passages cannot be divided among {queries.num_queries} queries."
        )
    return passages.shape[0] // queries.num_queries


def own_similarity(queries: QueryBatch, passages: Tensor) -> Tensor:
    """Similarities ``[q, m]`` of each query with its own of the passages ``[q * m, d]``.

    Raises:
        UsageError: They cannot be divided among the queries.
    """
    items = passages.view(queries.num_queries, items_per_query(queries, passages), -1)
    # Only the last axis goes: published code squeezes all, and fails on one query or one item.
    return _at_least_float32(queries(items).squeeze(-1))


def margin_pairs(similarity: Tensor) -> Tensor:
    """Pairs (positive, negative) ``[q * (m - 1), 2]`` of similarities ``[q, m]``."""
    positives = similarity[:, :1].expand(-1, similarity.shape[1] - 1)
    return torch.stack((positives, similarity[:, 1:]), dim=-1).view(-1, 2)


def _centred(similarity: Tensor) -> Tensor:
    """Similarities ``[q, n]`` less each query's mean."""
    return similarity - similarity.mean(dim=1, keepdim=True)


def _at_least_float32(similarity: Tensor) -> Tensor:
    return similarity.to(torch.promote_types(similarity.dtype, torch.float32))
