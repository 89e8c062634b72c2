"""Self-distillation: a q-net learns the scores of the embedding of its query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hypencli.errors import ModelError, UsageError
from hypencli.models.losses.base import (
    EmbeddedQueries,
    Loss,
    LossOutput,
    Needs,
    QueryBatch,
    at_least_float32,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SelfDistillation(Loss):
    """A loss by which a q-net learns the scores of the model's query embedding, without labels.

    It is the mean squared error over all passages of the batch, ``[q, n]``, between the scores of
    the q-net and ``teacher_scale`` times the inner products. From both, the mean over the passages
    of a query is subtracted: a constant for each query changes no ranking, and the last layer of a
    q-net has no bias to learn one. No gradients flow through the inner products.

    Deviation: not in the paper. It teaches the published architecture, whose hyper-head starts from
    random weights, the ranking of the bi-encoder. A warm-start q-net already has that ranking if
    its ``projection_scale`` is ``teacher_scale``; then the loss only closes its gate.

    Attributes:
        teacher_scale: Factor of the inner products. Those of normalised embeddings are cosines, too
            close together for the softmax of a later cross-entropy.
    """

    help: ClassVar[str] = (
        "a q-net learns the scores of the model's own query embedding; needs no labels"
    )
    needs: ClassVar[Needs] = Needs(query_embedding=True)

    teacher_scale: Annotated[
        float,
        Field(
            gt=0, allow_inf_nan=False, description="factor of the inner products that are learned"
        ),
    ] = 1.0

    def compute(self, queries: QueryBatch, passages: Tensor, labels: Tensor | None) -> LossOutput:
        """Compute the loss of ``q`` queries with passages ``[n, d]``; labels are not used.

        Raises:
            ModelError: The queries have no embedding.
            UsageError: There is only one passage, so there is no difference to learn.
        """
        import torch
        from torch.nn import functional

        teacher = queries.embedded if isinstance(queries, EmbeddedQueries) else None
        if teacher is None:
            raise no_query_embedding("self_distillation")
        similarity = at_least_float32(queries.score(passages))  # [q, n]
        if similarity.shape[1] < 2:
            raise UsageError("self_distillation needs at least two passages in a batch.")
        with torch.no_grad():
            taught = self.teacher_scale * at_least_float32(teacher.score(passages))  # [q, n]
        loss = functional.mse_loss(_centred(similarity), _centred(taught.to(similarity.dtype)))
        return LossOutput(loss, similarity)


def no_query_embedding(loss: str) -> ModelError:
    """Return the error for a loss that needs query embeddings when the model has none."""
    return ModelError(
        f"{loss} learns from the query embedding beside the q-net, and the model makes none: it "
        "has no embedding_representation.",
        hint="Set embedding_representation of the model to the pooling of its passages: cls, mean "
        "or mean-unmasked.",
    )


def _centred(similarity: Tensor) -> Tensor:
    """Return similarities ``[q, n]`` minus the mean of each query."""
    return similarity - similarity.mean(dim=1, keepdim=True)
