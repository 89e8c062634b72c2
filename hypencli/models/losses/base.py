"""The base class of losses: options, needs, and a function of queries, passages and labels.

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
    """Queries that score items: :class:`QNetBatch`, or :class:`InnerProducts` of a bi-encoder."""

    @property
    def num_queries(self) -> int:
        """The number of queries, ``q``."""
        ...

    def __call__(self, items: Tensor) -> Tensor:
        """Return outputs ``[q, m, 1]`` for the items ``[q, m, d]`` of each query."""
        ...

    def score(self, items: Tensor) -> Tensor:
        """Return scores ``[q, n]`` of items ``[n, d]``, shared by all queries."""
        ...


@runtime_checkable
class EmbeddedQueries(QueryBatch, Protocol):
    """Queries that may have an embedding besides their q-net, which can score too."""

    @property
    def embedded(self) -> QueryBatch | None:
        """The queries with inner products of their embeddings as scores, or None."""
        ...


@runtime_checkable
class NestedQueries(QueryBatch, Protocol):
    """Queries whose q-nets may hold narrower ones."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths of nested q-nets, rising up to the full one; empty without nesting."""
        ...

    def narrow(self, width: int) -> QueryBatch:
        """Return the queries with q-nets of one of the widths."""
        ...


@dataclass(frozen=True)
class LossOutput:
    """A loss, and the similarities from which it was computed."""

    loss: Tensor
    similarity: Tensor


@dataclass(frozen=True, kw_only=True)
class Needs:
    """The inputs that a loss requires.

    Attributes:
        teacher_scores: A teacher score for every item of a row, as labels.
        query_embedding: A query embedding besides the q-net, from a Hypencoder that makes one.
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
        scale: Factor of the loss.
    """

    help: ClassVar[str] = ""
    needs: ClassVar[Needs] = Needs()

    scale: Annotated[
        float,
        Field(gt=0, allow_inf_nan=False, description="factor of this loss in the sum"),
    ] = 1.0

    @abstractmethod
    def compute(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """Compute the loss before :attr:`scale`.

        Args:
            queries: The ``q`` queries.
            passages: ``[q * m, d]``: those of the first query, then of the second.
            labels: A teacher's scores ``[q, m]``; None without a teacher.
        """

    def __call__(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """Return the loss times :attr:`scale`; see :meth:`compute`."""
        output = self.compute(queries, passages, labels)
        return replace(output, loss=self.scale * output.loss)

    @property
    def has_in_batch_negatives(self) -> bool:
        """Whether passages of other queries, and random ones, are negatives of a query."""
        return False

    def contradiction(self) -> str | None:
        """Return a sentence about options that exclude each other, or None."""
        return None


def items_per_query(queries: QueryBatch, passages: Tensor) -> int:
    """Return the number ``m`` of the passages ``[q * m, d]`` that belong to each query.

    Raises:
        UsageError: The passages cannot be divided among the queries.
    """
    if passages.shape[0] == 0 or passages.shape[0] % queries.num_queries:
        raise UsageError(
            f"{passages.shape[0]} passages cannot be divided among {queries.num_queries} queries."
        )
    return passages.shape[0] // queries.num_queries


def own_similarity(queries: QueryBatch, passages: Tensor) -> Tensor:
    """Return similarities ``[q, m]`` of each query and its own passages, of ``[q * m, d]``.

    Raises:
        UsageError: The passages cannot be divided among the queries.
    """
    items = passages.view(queries.num_queries, items_per_query(queries, passages), -1)
    # Squeeze the last axis only: published code squeezes all, and fails on one query or item.
    return at_least_float32(queries(items).squeeze(-1))


def at_least_float32(similarity: Tensor) -> Tensor:
    """Return similarities in float32, or in their own dtype if it is wider."""
    import torch

    return similarity.to(torch.promote_types(similarity.dtype, torch.float32))
