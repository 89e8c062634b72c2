"""A q-net that starts as a bi-encoder: its score, and what a gate lets in of a generated net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hypencli.errors import ModelError
from hypencli.models.qnets.batch import multiply
from hypencli.models.qnets.packed import PrepackedLinear
from hypencli.models.qnets.protocols import RowNet
from hypencli.models.qnets.repeated_dense import DenseNets, RepeatedDenseBlockConverter


class WarmStartConverter(nn.Module):
    """A bi-encoder's score plus a gated q-net: ``(W q)·x + gate * qnet(x)``.

    ``W`` starts as a multiple of the identity and the gate small, so that the untrained model ranks
    as its own backbone does, and training departs from there.

    Deviation: not in the paper, whose q-nets are trained from noise on millions of queries. The
    hyper-head's query embeddings start small, so that each attends over the whole query: from the
    published deviation of 10 an embedding looks at one token, and few steps do not undo that.

    Args:
        vector_dimensions: As for :class:`RepeatedDenseBlockConverter`; the output width is 1.
        projection_scale: What multiplies the identity in ``W`` at the start.
        gate_init: The gate at the start.
        query_embedding_std: Deviation of the hyper-head's query embeddings at the start.
        options: Other options of :class:`RepeatedDenseBlockConverter`.

    Raises:
        ModelError: As there, or the q-net has more than one output.
    """

    takes_query_embedding = True

    def __init__(
        self,
        vector_dimensions: Sequence[int],
        *,
        projection_scale: float = 1.0,
        gate_init: float = 0.02,
        query_embedding_std: float = 0.05,
        **options: Any,
    ) -> None:
        super().__init__()
        self._dense = RepeatedDenseBlockConverter(vector_dimensions, **options)
        if self._dense.weight_shapes[-1][1] != 1:
            raise ModelError("The warm-start converter needs q-nets with one output.")
        self.weight_shapes = self._dense.weight_shapes
        self.bias_shapes = self._dense.bias_shapes
        self.query_embedding_std = query_embedding_std
        self.projection = nn.Parameter(projection_scale * torch.eye(self.dim))
        self.gate = nn.Parameter(torch.tensor(float(gate_init)))

    @property
    def dim(self) -> int:
        """Width of the items, ``d``."""
        return self._dense.dim

    def forward(
        self,
        matrices: list[Tensor],
        vectors: list[Tensor],
        is_training: bool,
        *,
        query_embedding: Tensor,
    ) -> GatedNets:
        """The q-nets ``[q, n, d] -> [q, n, 1]``, given pooled queries ``[q, d]`` too."""
        dense = self._dense(matrices, vectors, is_training)
        direction = functional.linear(query_embedding, self.projection)  # [q, d]
        direction = direction.unsqueeze(-1)  # [q, d, 1]
        return GatedNets(direction, self.gate, dense)


@dataclass(frozen=True)
class GatedNets:
    """A direction in the vectors' space and a gated q-net beside it.

    Attributes:
        direction: ``[q, d, 1]``.
        gate: A number.
        dense: The q-nets.
    """

    direction: Tensor
    gate: Tensor
    dense: DenseNets

    def __call__(self, items: Tensor) -> Tensor:
        """Outputs ``[q, n, 1]`` of items ``[q, n, d]``."""
        along = multiply(items, self.direction)  # [q, n, 1]
        return along + self.gate * self.dense(items)  # [q, n, 1]

    def prepared(self, dtype: torch.dtype, calibration: Tensor | None = None) -> RowNet | None:
        """The q-net of the only query, prepared; None where this cannot be.

        In int8 the direction stays in float32.
        """
        dense = self.dense.prepared(dtype, calibration)
        if dense is None:
            return None
        taken = torch.float32 if dtype == torch.int8 else dtype
        along = PrepackedLinear(self.direction[0], dtype=taken)
        gate = self.gate.detach().to(taken)
        return lambda rows: along(rows).add_(dense(rows).mul_(gate))
