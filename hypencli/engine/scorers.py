"""Scorers: the seam between models and search, ``vectors [n, d] -> scores [q, n]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from hypencli.engine.workers import ALONE, Workers

_COLUMNS = 32
"""Queries in one matrix product: fixed, so that a score never depends on how many were asked."""


@runtime_checkable
class Scorer(Protocol):
    """Scores documents for a batch of queries.

    A scorer must give a document the same score whatever the number of queries beside it: search
    calls it with blocks of one fixed shape, and the ranking is then the same for every batch size.
    """

    @property
    def n_queries(self) -> int:
        """How many queries, ``q``."""
        ...

    @property
    def dim(self) -> int:
        """Width of the document vectors, ``d``."""
        ...

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Scores ``[q, n]`` of document vectors ``[n, d]``."""
        ...

    def select(self, queries: Sequence[int]) -> Scorer:
        """The scorer of some of the queries, by their places."""
        ...

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> Scorer | None:
        """The scorer for many blocks in one arithmetic, without gradients.

        Args:
            dtype: The arithmetic. In int8 it scores float32 vectors, roughly; else vectors of this
                dtype.
            calibration: Vectors ``[m, d]`` such as it will score, which int8 needs: they say which
                ranges the bytes span. A vector that is not finite must then score NaN.
            threads: Who prepares.

        Returns:
            None where there is no such way: for int8, of these queries or on this machine.
        """
        ...

    def gradients(self, vectors: torch.Tensor) -> torch.Tensor:
        """How scores change with a document vector: gradients ``[q, n, d]`` at ``[n, d]``."""
        ...


class QNet(Protocol):
    """The q-net of one query, as the models layer makes it."""

    @property
    def dim(self) -> int:
        """Width of the vectors that the q-net takes."""
        ...

    def __call__(self, vectors: torch.Tensor, /) -> torch.Tensor:
        """Scores ``[1, n, 1]`` of vectors ``[1, n, d]``."""
        ...


@runtime_checkable
class PreparableQNet(Protocol):
    """A q-net that can be prepared for scoring many blocks."""

    def prepared(self, dtype: torch.dtype, calibration: torch.Tensor | None, /) -> QNet | None:
        """The q-net in an arithmetic, as :meth:`Scorer.prepared`."""
        ...


class ScorableQueries(Protocol):
    """Queries that a model has read: q-nets or query vectors for any part of them."""

    @property
    def has_q_nets(self) -> bool:
        """Whether the queries become q-nets; else they are vectors."""
        ...

    def q_nets(self, start: int, stop: int, dtype: torch.dtype | None, /) -> Sequence[QNet]:
        """One q-net a query, for the queries from ``start`` to ``stop``, in a dtype."""
        ...

    def vectors(self, start: int, stop: int, /) -> torch.Tensor:
        """Query vectors ``[q, d]`` of a bi-encoder."""
        ...


def scorer_of(
    queries: ScorableQueries, batch: range, dim: int, dtype: torch.dtype = torch.float32
) -> Scorer:
    """The scorer of a batch of queries: of q-nets, or of inner products.

    Args:
        queries: All queries.
        batch: Places of the batch.
        dim: Width of the document vectors, ``d``.
        dtype: Arithmetic of the scores.
    """
    if queries.has_q_nets:
        return QNetScorer(queries.q_nets(batch.start, batch.stop, dtype), dim)
    return InnerProductScorer(queries.vectors(batch.start, batch.stop).to(dtype))


class QNetScorer:
    """Scores with q-nets, one query at a time over a block that stays in the cache.

    One q-net at a time keeps every matrix product at one shape, so that scores are bit-equal for
    every number of queries; the block is read from memory once for all of them.

    Args:
        q_nets: One q-net a query.
        dim: Width of the document vectors, ``d``.
    """

    def __init__(self, q_nets: Sequence[QNet], dim: int) -> None:
        self._q_nets = q_nets
        self._dim = dim

    @property
    def n_queries(self) -> int:
        """How many queries, ``q``."""
        return len(self._q_nets)

    @property
    def dim(self) -> int:
        """Width of the document vectors, ``d``."""
        return self._dim

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Scores ``[q, n]`` of document vectors ``[n, d]``."""
        scores = vectors.new_empty((len(self._q_nets), vectors.shape[0]))
        for row, q_net in zip(scores, self._q_nets, strict=True):
            row.copy_(q_net(vectors.unsqueeze(0))[0, :, 0])
        return scores

    def select(self, queries: Sequence[int]) -> QNetScorer:
        """The scorer of some of the queries, by their places."""
        return QNetScorer([self._q_nets[query] for query in queries], self._dim)

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> QNetScorer | None:
        """The scorer in one arithmetic; None unless all q-nets can be, see :meth:`Scorer.prepared`.

        Prepared q-nets are copies of their weights: keep them for one search, not longer.
        """

        def prepare(net: QNet) -> QNet | None:
            if isinstance(net, PreparableQNet):
                return net.prepared(dtype, calibration)
            return None if dtype == torch.int8 else net

        prepared = threads.map(prepare, self._q_nets)
        nets = [net for net in prepared if net is not None]
        return QNetScorer(nets, self._dim) if len(nets) == len(prepared) else None

    def gradients(self, vectors: torch.Tensor) -> torch.Tensor:
        """Gradients ``[q, n, d]`` of the scores at document vectors ``[n, d]``."""
        result = vectors.new_empty((len(self._q_nets), *vectors.shape))
        for row, q_net in zip(result, self._q_nets, strict=True):
            with torch.inference_mode(False), torch.enable_grad():
                points = vectors.clone().requires_grad_()
                # A document's score depends on its own vector alone: one pass for all of them.
                total = q_net(points.unsqueeze(0)).sum()
                (gradients,) = torch.autograd.grad(total, points)
            row.copy_(gradients)
        return result


class InnerProductScorer:
    """Scores with inner products: the bi-encoder.

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
        """How many queries, ``q``."""
        return self._n_queries

    @property
    def dim(self) -> int:
        """Width of the document vectors, ``d``."""
        return self._dim

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Scores ``[q, n]`` of document vectors ``[n, d]``."""
        if not self._groups:
            return vectors.new_empty((0, vectors.shape[0]))
        columns = [vectors @ group for group in self._groups]
        return torch.cat(columns, dim=1)[:, : self._n_queries].t()

    def select(self, queries: Sequence[int]) -> InnerProductScorer:
        """The scorer of some of the queries, by their places."""
        return InnerProductScorer(self.queries[list(queries)])

    def prepared(
        self,
        dtype: torch.dtype,
        calibration: torch.Tensor | None = None,
        threads: Workers = ALONE,
    ) -> InnerProductScorer | None:
        """The scorer for vectors of that dtype; None for int8."""
        if dtype == torch.int8:
            return None
        return self if self.queries.dtype == dtype else InnerProductScorer(self.queries.to(dtype))

    def gradients(self, vectors: torch.Tensor) -> torch.Tensor:
        """Gradients ``[q, n, d]`` of the scores: the query vectors, wherever they are asked for."""
        return self.queries.to(vectors.dtype).unsqueeze(1).expand(-1, len(vectors), -1)
