"""Q-nets: the small networks that a hypernetwork writes, one a query, evaluated as a batch.

Axes: ``q`` queries, ``n`` items, ``d`` embedding width, ``h`` the width of a layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from hypencli.errors import ModelError, UsageError
from hypencli.models.qnets.protocols import (
    NestedQNetConverter,
    PreparableQNets,
    QNet,
    QNetConverter,
    RowNet,
    Shape,
    narrowed,
)

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
    "leaky_relu": functional.leaky_relu,
}
"""Activations by the names that published configurations use."""

_NARROW = 16
"""Most outputs for which one product over all queries is faster than one a query (CPU)."""


def multiply(items: Tensor, matrices: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply linear layers of ``q`` queries, without copying items that all queries share.

    Args:
        items: ``[q, n, in]``; items shared by all queries may be an expanded view (stride 0).
        matrices: ``[q, in, out]``.
        bias: ``[q, 1, out]``, or None.

    Returns:
        ``[q, n, out]``.
    """
    n_queries, width, outputs = matrices.shape
    if n_queries > 1 and items.stride(0) == 0 and outputs <= _NARROW:
        flat = matrices.permute(1, 0, 2).reshape(width, n_queries * outputs)  # [in, q * out]
        product = (items[0] @ flat).view(-1, n_queries, outputs)  # [n, q, out]
        product = product.transpose(0, 1)  # [q, n, out]
        return product if bias is None else product + bias
    # bmm accepts a stride of 0, so nothing is copied for each query.
    return torch.bmm(items, matrices) if bias is None else torch.baddbmm(bias, items, matrices)


@dataclass(frozen=True)
class QNetBatch:
    """The q-nets of ``q`` queries, which ``Hypencoder(...)`` returns as ``representation``.

    A call scores items ``[q, n, d]``, or items ``[1, n, d]`` shared by all queries, and returns
    ``[q, n, out]``, where ``out`` is 1 for retrieval. A slice has the q-nets of some of the
    queries. See :mod:`hypencli.models.qnets` for an example.

    The network is made at the first call and kept. Tensors that are later changed in place may or
    may not change the scores.

    Attributes:
        matrices: One tensor ``[q, in, out]`` for each layer.
        vectors: One tensor ``[q, out, 1]`` for each bias.
        converter: The architecture.
        query_embedding: Pooled queries ``[q, d]`` if the model makes them, else None.
        is_training: Whether dropout is on.

    Examples:
        >>> from hypencli.models.qnets.repeated_dense import RepeatedDenseBlockConverter
        >>> converter = RepeatedDenseBlockConverter([4, 4, 1])  # one hidden layer
        >>> matrices = (torch.rand(2, 4, 4), torch.rand(2, 4, 1))  # of q = 2 queries
        >>> q_nets = QNetBatch(matrices, (torch.zeros(2, 4, 1),), converter)
        >>> q_nets(torch.rand(1, 3, 4)).shape  # n = 3 items of width 4
        torch.Size([2, 3, 1])
        >>> len(q_nets[:1])
        1
    """

    matrices: tuple[Tensor, ...]
    vectors: tuple[Tensor, ...]
    converter: QNetConverter
    query_embedding: Tensor | None = None
    is_training: bool = False

    @property
    def num_queries(self) -> int:
        """The number of queries, ``q``."""
        return self.matrices[0].shape[0]

    def __len__(self) -> int:
        return self.num_queries

    @property
    def dim(self) -> int:
        """Width of the items, ``d``."""
        declared = getattr(self.converter, "dim", None)
        return int(self.converter.weight_shapes[0][0] if declared is None else declared)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the scores."""
        return self.matrices[0].dtype

    @property
    def device(self) -> torch.device:
        """The device of the q-nets."""
        return self.matrices[0].device

    @property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths of nested q-nets, rising up to the full one; empty without nesting."""
        return self.converter.widths if isinstance(self.converter, NestedQNetConverter) else ()

    @property
    def embedded(self) -> InnerProducts | None:
        """The queries with inner products of their embeddings as scores; None without them."""
        return None if self.query_embedding is None else InnerProducts(self.query_embedding)

    @cached_property
    def _net(self) -> QNet:
        if not torch.is_inference_mode_enabled():
            return self._make()
        # The network is kept, and inference tensors could not be differentiated later.
        with torch.inference_mode(False), torch.no_grad():
            return self._make()

    def _make(self) -> QNet:
        matrices, vectors = list(self.matrices), list(self.vectors)
        if getattr(self.converter, "takes_query_embedding", False):
            return self.converter(  # type: ignore[call-arg]
                matrices, vectors, self.is_training, query_embedding=self.query_embedding
            )
        return self.converter(matrices, vectors, self.is_training)

    def __call__(self, items: Tensor) -> Tensor:
        """Return outputs ``[q, n, out]`` for items ``[q, n, d]`` or ``[1, n, d]``.

        Raises:
            UsageError: The number of axes, queries or columns of the items does not fit.
        """
        fits = items.ndim == 3 and items.shape[0] in (1, len(self)) and items.shape[2] == self.dim
        if not fits:
            raise UsageError(
                f"Q-nets of {len(self)} queries got items of shape {list(items.shape)}; expected "
                f"[{len(self)}, n, {self.dim}] or [1, n, {self.dim}]."
            )
        shared = items.to(self.dtype).expand(len(self), -1, -1)  # [q, n, d], nothing is copied
        return self._net(shared)  # [q, n, out]

    def score(self, items: Tensor) -> Tensor:
        """Return scores ``[q, n]`` of items ``[n, d]``, shared by all queries.

        Raises:
            UsageError: The items do not fit, or the q-nets have more than one output.
        """
        outputs = self(items.unsqueeze(0))  # [1, n, d] -> [q, n, out]
        if outputs.shape[-1] != 1:
            raise UsageError(f"Scores need q-nets with one output; these have {outputs.shape[-1]}.")
        return outputs.squeeze(-1)  # [q, n]

    def __getitem__(self, index: slice | int) -> QNetBatch:
        """Return the q-nets of some queries; an integer selects a batch of one."""
        if isinstance(index, int):
            position = range(len(self))[index]
            index = slice(position, position + 1)
        rows: slice = index
        return self.unflatten([tensor[rows] for tensor in self.flatten()])

    def narrow(self, width: int) -> QNetBatch:
        """Return the q-nets at one of :attr:`widths`, as views of these weights.

        Raises:
            ModelError: The q-nets do not have this width.
        """
        converter = narrowed(self.converter, width)
        return replace(
            self,
            matrices=_first(self.matrices, converter.weight_shapes),
            vectors=_first(self.vectors, converter.bias_shapes),
            converter=converter,
        )

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> QNetBatch:
        """Return these q-nets on another device or in another dtype."""
        converter = self.converter
        if isinstance(converter, nn.Module):
            converter = copy.deepcopy(converter).to(device=device, dtype=dtype)
        moved = [tensor.to(device=device, dtype=dtype) for tensor in self.flatten()]
        return self.unflatten(moved, converter)

    def prepared(
        self, dtype: torch.dtype, calibration: Tensor | None = None
    ) -> QNetBatch | PreparedQNet | None:
        """Prepare the q-net of one query for many blocks in one dtype, without gradients.

        If the architecture or the machine cannot prepare it, returns these q-nets in the dtype, or
        None for int8.

        Args:
            dtype: The dtype; int8 gives approximate scores of float32 items.
            calibration: Typical items ``[m, d]``, for the ranges of int8.
        """
        net = self._net
        if isinstance(net, PreparableQNets) and self.matrices[-1].shape[-1] == 1:
            with torch.no_grad():
                prepared = net.prepared(dtype, calibration)
            if prepared is not None:
                return PreparedQNet(prepared, self.dim)
        if dtype == torch.int8:
            return None
        return self if dtype == self.dtype else self.to(dtype=dtype)

    def detach(self) -> QNetBatch:
        """Return these q-nets, detached from their gradients."""
        return self.unflatten([tensor.detach() for tensor in self.flatten()])

    @classmethod
    def concatenate(cls, batches: Sequence[QNetBatch]) -> QNetBatch:
        """Join several batches of one model, in order.

        Raises:
            UsageError: ``batches`` is empty.
        """
        if not batches:
            raise UsageError("No q-nets to concatenate.")
        columns = zip(*(batch.flatten() for batch in batches), strict=True)
        return batches[0].unflatten([torch.cat(column) for column in columns])

    def flatten(self) -> tuple[Tensor, ...]:
        """Return all tensors, each ``[q, ...]``: matrices, vectors, the query embedding.

        The last one is missing if the model makes no query embedding.
        """
        embedding = () if self.query_embedding is None else (self.query_embedding,)
        return (*self.matrices, *self.vectors, *embedding)

    def unflatten(
        self, tensors: Sequence[Tensor], converter: QNetConverter | None = None
    ) -> QNetBatch:
        """Return q-nets of this architecture with other tensors.

        Args:
            tensors: The tensors, in the number and order of :meth:`flatten`.
            converter: Another architecture with equal shapes; None keeps this one.
        """
        n_matrices = len(self.matrices)
        n_weights = n_matrices + len(self.vectors)
        return QNetBatch(
            matrices=tuple(tensors[:n_matrices]),
            vectors=tuple(tensors[n_matrices:n_weights]),
            converter=self.converter if converter is None else converter,
            query_embedding=None if self.query_embedding is None else tensors[n_weights],
            is_training=self.is_training,
        )


@dataclass(frozen=True)
class PreparedQNet:
    """The q-net of one query, prepared for scoring.

    Attributes:
        net: A function from rows ``[n, d]`` to outputs ``[n, 1]``.
        dim: Width of the items, ``d``.
    """

    net: RowNet
    dim: int

    def __call__(self, items: Tensor) -> Tensor:
        """Return outputs ``[1, n, 1]`` of items ``[1, n, d]`` in the prepared dtype."""
        return self.net(items[0]).unsqueeze(0)


@dataclass(frozen=True)
class InnerProducts:
    """Query embeddings of a bi-encoder, with the interface of :class:`QNetBatch`.

    Attributes:
        embeddings: ``[q, d]``.
    """

    embeddings: Tensor

    @property
    def num_queries(self) -> int:
        """The number of queries, ``q``."""
        return self.embeddings.shape[0]

    def __call__(self, items: Tensor) -> Tensor:
        """Return inner products ``[q, n, 1]`` with items ``[q, n, d]`` or ``[1, n, d]``."""
        return items.expand(self.num_queries, -1, -1) @ self.embeddings.unsqueeze(-1)

    def flatten(self) -> tuple[Tensor, ...]:
        """Return the embeddings ``[q, d]`` as the only tensor."""
        return (self.embeddings,)

    def unflatten(self, tensors: Sequence[Tensor]) -> InnerProducts:
        """Return queries with other embeddings ``[q, d]``, the only one of ``tensors``."""
        (embeddings,) = tensors
        return InnerProducts(embeddings)

    def score(self, items: Tensor) -> Tensor:
        """Return inner products ``[q, n]`` with items ``[n, d]``, shared by all queries."""
        return self.embeddings @ items.t()


def _first(tensors: Sequence[Tensor], shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
    """Return the first ``in`` rows and ``out`` columns of tensors ``[q, >= in, >= out]``."""
    return tuple(
        tensor[:, :into, :out] for tensor, (into, out) in zip(tensors, shapes, strict=True)
    )


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return the activation with a name.

    Raises:
        ModelError: No activation has that name.
    """
    if name not in ACTIVATIONS:
        raise ModelError(
            f"Unknown activation_type {name!r} for a q-net.",
            hint=f"Valid: {', '.join(ACTIVATIONS)}.",
        )
    return ACTIVATIONS[name]
