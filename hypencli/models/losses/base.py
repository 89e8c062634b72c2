"""What a loss is: options, needs, and a function of queries, passages and a teacher's scores.

Axes: ``q`` queries, ``m`` items a query (the positive first), ``n`` all items of the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol, runtime_checkable

from pydantic import Field

from hypencli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


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
        """The queries, scoring by inner products with their embeddings; None without those."""
        ...


@runtime_checkable
class NestedQueries(QueryBatch, Protocol):
    """Queries whose q-nets may hold narrower ones."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths that the q-nets can be cut to, rising, the last the full one; often none."""
        ...

    def narrow(self, width: int) -> QueryBatch:
        """The queries with q-nets of one of the widths."""
        ...


@dataclass(frozen=True)
class LossOutput:
    """A loss, and the similarities that it was computed from."""

    loss: Tensor
    similarity: Tensor


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a loss cannot do without.

    Attributes:
        teacher_scores: A teacher's score of every item of a row, as labels.
        query_embedding: A query embedding beside the q-net, and so a Hypencoder that makes one.
        negatives: At least one negative a query.
    """

    teacher_scores: bool = False
    query_embedding: bool = False
    negatives: bool = False


@dataclass(frozen=True, kw_only=True)
class Loss(ABC):
    """A loss over a batch of queries and their passages; its fields are its options.

    A loss is a frozen dataclass that derives from this one. It states :attr:`help` and
    :attr:`needs`, declares options as :mod:`hypencli.option_fields` says, and computes
    :meth:`compute`. Docs: ``docs/extending.md``.

    Attributes:
        scale: Multiplies the loss.
    """

    help: ClassVar[str] = ""
    needs: ClassVar[Needs] = Needs()

    scale: Annotated[
        float,
        Field(gt=0, allow_inf_nan=False, description="factor of this loss in the sum"),
    ] = 1.0

    @abstractmethod
    def compute(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """The loss before :attr:`scale`.

        Args:
            queries: The ``q`` queries.
            passages: ``[q * m, d]``: those of the first query, then of the second.
            labels: A teacher's scores ``[q, m]``; None where there is no teacher.
        """

    def __call__(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """The loss times :attr:`scale`; see :meth:`compute`."""
        output = self.compute(queries, passages, labels)
        return replace(output, loss=self.scale * output.loss)

    @property
    def has_in_batch_negatives(self) -> bool:
        """Whether passages of other queries, and random ones, are negatives of a query."""
        return False

    def contradiction(self) -> str | None:
        """Which of the options exclude each other, in words; None where none do."""
        return None


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
    return at_least_float32(queries(items).squeeze(-1))


def at_least_float32(similarity: Tensor) -> Tensor:
    """Similarities in float32, or in their own dtype where that is wider."""
    import torch

    return similarity.to(torch.promote_types(similarity.dtype, torch.float32))
