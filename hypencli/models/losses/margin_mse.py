"""MarginMSE: the student learns the margins of a teacher (Hofstätter et al., 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hypencli.errors import UsageError
from hypencli.models.losses.base import Loss, LossOutput, Needs, QueryBatch, own_similarity

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MarginMSE(Loss):
    """Mean squared error of the margins between positive and negatives against a teacher's.

    The returned similarities are pairs ``[q * (m - 1), 2]`` (positive, negative), as published.
    """

    help: ClassVar[str] = "needs the score of a teacher on every item"
    needs: ClassVar[Needs] = Needs(teacher_scores=True, negatives=True)

    def compute(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """Compute the loss of ``q`` queries, passages ``[q * m, d]`` and labels ``[q, m]``.

        Raises:
            UsageError: Labels are missing or misshapen, or a query has no negative.
        """
        from torch.nn import functional

        similarity = own_similarity(queries, passages)  # [q, m]
        if labels is None or labels.shape != similarity.shape:
            label_shape = "none" if labels is None else f"shape {list(labels.shape)}"
            raise UsageError(
                f"margin_mse needs a teacher's scores [q, m] as labels: got {label_shape}, "
                f"expected shape {list(similarity.shape)}."
            )
        if similarity.shape[1] < 2:
            raise UsageError("margin_mse needs a positive and at least one negative a query.")
        pairs = margin_pairs(similarity)  # [q * (m - 1), 2]
        teacher = margin_pairs(labels.to(pairs.dtype))  # [q * (m - 1), 2]
        loss = functional.mse_loss(pairs[:, 0] - pairs[:, 1], teacher[:, 0] - teacher[:, 1])
        return LossOutput(loss, pairs)


def margin_pairs(similarity: Tensor) -> Tensor:
    """Return pairs (positive, negative) ``[q * (m - 1), 2]`` of similarities ``[q, m]``."""
    import torch

    positives = similarity[:, :1].expand(-1, similarity.shape[1] - 1)  # [q, m - 1]
    return torch.stack((positives, similarity[:, 1:]), dim=-1).view(-1, 2)
