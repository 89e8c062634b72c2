"""Warm-start q-nets: the score of a bi-encoder plus a gated generated q-net."""

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
    """The score of a bi-encoder plus a gated q-net: ``(W q)·x + gate * qnet(x)``.

    ``W`` starts as a multiple of the identity, and the gate starts small. So the untrained model
    ranks like its backbone, and training starts from that ranking.

    Deviation: not in the paper, which trains q-nets from random weights on millions of queries. The
    query embeddings of the hyper-head start small, so that each attends over the whole query. With
    the published deviation of 10, an embedding attends to one token, and few steps of training do
    not change that.

    Args:
        vector_dimensions: Widths ``[d, h, ..., 1]`` from items to output; the output width is 1.
        projection_scale: Initial factor of the identity in ``W``.
        gate_init: Initial gate.
        query_embedding_std: Initial deviation of the query embeddings of the hyper-head.
        options: Other options of :class:`RepeatedDenseBlockConverter`.

    Raises:
        ModelError: :class:`RepeatedDenseBlockConverter` refuses the options, or the q-net has more
            than one output.
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
        """Make q-nets ``[q, n, d] -> [q, n, 1]`` of weights and pooled queries ``[q, d]``."""
        dense = self._dense(matrices, vectors, is_training)
        direction = functional.linear(query_embedding, self.projection)  # [q, d]
        direction = direction.unsqueeze(-1)  # [q, d, 1]
        return GatedNets(direction, self.gate, dense)


@dataclass(frozen=True)
class GatedNets:
    """Q-nets that add a gated dense q-net to the inner product with a direction.

    Attributes:
        direction: ``[q, d, 1]``.
        gate: A scalar.
        dense: The dense q-nets.
    """

    direction: Tensor
    gate: Tensor
    dense: DenseNets

    def __call__(self, items: Tensor) -> Tensor:
        """Return outputs ``[q, n, 1]`` of items ``[q, n, d]``."""
        along = multiply(items, self.direction)  # [q, n, 1]
        return along + self.gate * self.dense(items)  # [q, n, 1]

    def prepared(self, dtype: torch.dtype, calibration: Tensor | None = None) -> RowNet | None:
        """Prepare the q-net of the only query; return None if that is not possible.

        In int8, the direction stays in float32.
        """
        dense = self.dense.prepared(dtype, calibration)
        if dense is None:
            return None
        taken = torch.float32 if dtype == torch.int8 else dtype
        along = PrepackedLinear(self.direction[0], dtype=taken)
        gate = self.gate.detach().to(taken)
        return lambda rows: along(rows).add_(dense(rows).mul_(gate))
