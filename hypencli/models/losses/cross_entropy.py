"""Cross-entropy of the positive among the passages of a query, or of the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hypencli.models.losses.base import (
    Loss,
    LossOutput,
    QueryBatch,
    at_least_float32,
    items_per_query,
    own_similarity,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """Cross-entropy of the positive among other items.

    Attributes:
        use_in_batch_negatives: Whether the other items are those of the whole batch, ``[q, n]``, or
            only those of the query, ``[q, m]``.
        only_use_first_item: Whether only the first item of each query of the batch counts.
    """

    help: ClassVar[str] = "the positive among its negatives"

    use_in_batch_negatives: Annotated[
        bool, Field(description="the passages of the other queries are negatives too")
    ] = True
    only_use_first_item: Annotated[
        bool, Field(description="in the batch, only the positive of each other query")
    ] = False

    @property
    def has_in_batch_negatives(self) -> bool:
        """Whether passages of other queries, and random ones, are negatives of a query."""
        return self.use_in_batch_negatives

    def contradiction(self) -> str | None:
        """Return an error sentence if ``only_use_first_item`` lacks in-batch negatives."""
        if self.only_use_first_item and not self.use_in_batch_negatives:
            return "only_use_first_item needs use_in_batch_negatives = true"
        return None

    def compute(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """Compute the loss of ``q`` queries with passages ``[q * m, d]``; labels are not used.

        Raises:
            UsageError: The passages cannot be divided among the queries.
        """
        import torch
        from torch.nn import functional

        n_queries = queries.num_queries
        per_query = items_per_query(queries, passages)
        if not self.use_in_batch_negatives:
            similarity = own_similarity(queries, passages)  # [q, m]
            targets = torch.zeros(n_queries, dtype=torch.long, device=passages.device)
        else:
            if self.only_use_first_item:
                passages, per_query = passages[::per_query], 1  # [q, d]
            similarity = at_least_float32(queries.score(passages))  # [q, n]
            targets = torch.arange(n_queries, device=passages.device) * per_query
        return LossOutput(functional.cross_entropy(similarity, targets), similarity)
