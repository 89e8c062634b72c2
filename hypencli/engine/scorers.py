"""Scorers: the interface between models and search, ``vectors [n, d] -> scores [q, n]``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from hypencli.engine.workers import ALONE, Workers

_COLUMNS = 32
"""Queries in one matrix product; it is fixed, so scores do not depend on the batch size."""


class PassScorer(Protocol):
    """The part of a scorer that a pass over a corpus uses."""

    @property
    def n_queries(self) -> int:
        """The number of queries, ``q``."""
        ...

    @property
    def dim(self) -> int:
        """Width of the document vectors, ``d``."""
        ...

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return scores ``[q, n]`` of document vectors ``[n, d]``."""
        ...

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> PassScorer | None:
        """Prepare a scorer for many blocks in one dtype; see :meth:`Scorer.prepared`."""
        ...


@runtime_checkable
class Scorer(PassScorer, Protocol):
    """A function that scores documents for a batch of queries.

    The score of a document must not depend on the number of queries of the batch. Search calls a
    scorer with blocks of one fixed shape, so rankings are equal for every batch size.
    """

    def select(self, queries: Sequence[int]) -> Scorer:
        """Return the scorer of the queries at these positions."""
        ...

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> Scorer | None:
        """Prepare a scorer for many blocks in one dtype, without gradients.

        Args:
            dtype: The dtype of the arithmetic, and of the vectors. An int8 scorer takes float32
                vectors and gives approximate scores.
            calibration: Typical vectors ``[m, d]``, which int8 needs to find the ranges of its
                values. A vector that is not finite must then score NaN.
            threads: The threads that prepare.

        Returns:
            The prepared scorer; None if int8 is not available for these queries or this machine.
        """
        ...

    def gradients(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return gradients ``[q, n, d]`` of the scores at document vectors ``[n, d]``."""
        ...


class QNet(Protocol):
    """The q-net of one query, made by the models layer."""

    @property
    def dim(self) -> int:
        """Width of the vectors that the q-net takes."""
        ...

    def __call__(self, vectors: torch.Tensor, /) -> torch.Tensor:
        """Return scores ``[1, n, 1]`` of vectors ``[1, n, d]``."""
        ...


@runtime_checkable
class PreparableQNet(Protocol):
    """A q-net that can be prepared for scoring many blocks."""

    def prepared(self, dtype: torch.dtype, calibration: torch.Tensor | None, /) -> QNet | None:
        """Prepare the q-net for a dtype; see :meth:`Scorer.prepared`."""
        ...


class GroupedQNets(Protocol):
    """The q-nets of several queries, which score the same vectors in one product a layer."""

    def score(self, items: torch.Tensor, /) -> torch.Tensor:
        """Return scores ``[q, n]`` of vectors ``[n, d]``."""
        ...


@runtime_checkable
class GroupableQNet(Protocol):
    """A q-net that can be joined with others of its architecture."""

    def to(
        self, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> GroupableQNet:
        """Return the q-net on another device or in another dtype."""
        ...

    def concatenate(self, batches: Sequence[Any], /) -> GroupedQNets:
        """Join q-nets of one architecture, in order."""
        ...


class ScorableQueries(Protocol):
    """Encoded queries, which give q-nets or query vectors for any range of them."""

    @property
    def has_q_nets(self) -> bool:
        """Whether the queries become q-nets; otherwise they are vectors."""
        ...

    def q_nets(self, start: int, stop: int, dtype: torch.dtype | None, /) -> Sequence[QNet]:
        """Return one q-net a query, for the queries from ``start`` to ``stop``, in a dtype."""
        ...

    def vectors(self, start: int, stop: int, /) -> torch.Tensor:
        """Return query vectors ``[q, d]`` of a bi-encoder, from ``start`` to ``stop``."""
        ...


def scorer_of(
    queries: ScorableQueries, batch: range, dim: int, dtype: torch.dtype = torch.float32
) -> Scorer:
    """Make the scorer of a batch of queries, with q-nets or with inner products.

    Args:
        queries: All queries.
        batch: Positions of the queries of the batch.
        dim: Width of the document vectors, ``d``.
        dtype: Arithmetic of the scores.
    """
    if queries.has_q_nets:
        return QNetScorer(queries.q_nets(batch.start, batch.stop, dtype), dim)
    return InnerProductScorer(queries.vectors(batch.start, batch.stop).to(dtype))


class QNetScorer:
    """A scorer with q-nets, one query at a time over a block that stays in the cache.

    Every matrix product is that of one q-net, so its shape is fixed and scores are bit-equal for
    every number of queries. A block is read from memory once for all queries.

    Args:
        q_nets: One q-net a query.
        dim: Width of the document vectors, ``d``.
    """

    def __init__(self, q_nets: Sequence[QNet], dim: int) -> None:
        self._q_nets = q_nets
        self._dim = dim

    @property
    def n_queries(self) -> int:
        """The number of queries, ``q``."""
        return len(self._q_nets)

    @property
    def dim(self) -> int:
        """Width of the document vectors, ``d``."""
        return self._dim

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return scores ``[q, n]`` of document vectors ``[n, d]``."""
        scores = vectors.new_empty((len(self._q_nets), vectors.shape[0]))
        for row, q_net in zip(scores, self._q_nets, strict=True):
            row.copy_(q_net(vectors.unsqueeze(0))[0, :, 0])
        return scores

    def select(self, queries: Sequence[int]) -> QNetScorer:
        """Return the scorer of the queries at these positions."""
        return QNetScorer([self._q_nets[query] for query in queries], self._dim)

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> QNetScorer | None:
        """Prepare all q-nets; return None if one cannot be. See :meth:`Scorer.prepared`.

        Prepared q-nets hold copies of their weights: keep them for one search, not longer.
        """

        def prepare(net: QNet) -> QNet | None:
            if isinstance(net, PreparableQNet):
                return net.prepared(dtype, calibration)
            return None if dtype == torch.int8 else net

        prepared = threads.map(prepare, self._q_nets)
        nets = [net for net in prepared if net is not None]
        return QNetScorer(nets, self._dim) if len(nets) == len(prepared) else None

    def grouped(self, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Join all q-nets; return a function from vectors ``[n, d]`` to scores ``[q, n]``.

        A score may then depend on the other queries in its last bits, as matrix products do. None
        if the q-nets cannot be joined.
        """
        nets = [net for net in self._q_nets if isinstance(net, GroupableQNet)]
        if not nets or len(nets) < len(self._q_nets):
            return None
        return nets[0].concatenate([net.to(dtype=dtype) for net in nets]).score

    def gradients(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return gradients ``[q, n, d]`` of the scores at document vectors ``[n, d]``."""
        result = vectors.new_empty((len(self._q_nets), *vectors.shape))
        for row, q_net in zip(result, self._q_nets, strict=True):
            with torch.inference_mode(False), torch.enable_grad():
                points = vectors.clone().requires_grad_()
                # A score depends on the vector of its document alone: one pass serves all.
                total = q_net(points.unsqueeze(0)).sum()
                (gradients,) = torch.autograd.grad(total, points)
            row.copy_(gradients)
        return result


class InnerProductScorer:
    """A scorer with inner products, for a bi-encoder.

    Attributes:
        queries: Query vectors ``[q, d]``.
    """

    def __init__(self, queries: torch.Tensor) -> None:
        self.queries = queries
        self._n_queries, self._dim = queries.shape
        padding = -self._n_queries % _COLUMNS
        padded = torch.nn.functional.pad(queries, (0, 0, 0, padding))
        self._groups = [group.t().contiguous() for group in torch.split(padded, _COLUMNS)]

    @property
    def n_queries(self) -> int:
        """The number of queries, ``q``."""
        return self._n_queries

    @property
    def dim(self) -> int:
        """Width of the document vectors, ``d``."""
        return self._dim

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return scores ``[q, n]`` of document vectors ``[n, d]``."""
        if not self._groups:
            return vectors.new_empty((0, vectors.shape[0]))
        columns = [vectors @ group for group in self._groups]
        return torch.cat(columns, dim=1)[:, : self._n_queries].t()

    def select(self, queries: Sequence[int]) -> InnerProductScorer:
        """Return the scorer of the queries at these positions."""
        return InnerProductScorer(self.queries[list(queries)])

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> InnerProductScorer | None:
        """Return the scorer for vectors of a dtype; None for int8."""
        if dtype == torch.int8:
            return None
        return self if self.queries.dtype == dtype else InnerProductScorer(self.queries.to(dtype))

    def gradients(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return gradients ``[q, n, d]`` of the scores, which are the query vectors everywhere."""
        return self.queries.to(vectors.dtype).unsqueeze(1).expand(-1, len(vectors), -1)
