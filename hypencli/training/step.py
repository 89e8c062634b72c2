"""The forward pass of a training step, from a batch to each loss and their sum.

Axes: ``q`` queries, ``i`` passages a query, ``r`` random negatives of the batch, ``t`` tokens,
``h`` width of a token state, ``d`` of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hypencli.errors import ModelError
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
from hypencli.models.losses.base import EmbeddedQueries, NestedQueries, QueryBatch
from hypencli.models.qnets.batch import InnerProducts, QNetBatch
from hypencli.training.config import Stage
from hypencli.training.process.distributed import n_processes, of_other_processes


@dataclass(frozen=True)
class ExtraNegatives:
    """Queries that score additional passages if a loss scores the whole batch.

    A loss over the passages of each query alone does not use the additional passages.

    Attributes:
        queries: The original queries.
    """

    queries: QueryBatch

    @property
    def num_queries(self) -> int:
        """The number of queries, ``q``."""
        return self.queries.num_queries

    @property
    def embedded(self) -> QueryBatch | None:
        """The queries with inner products of their embeddings as scores, or None."""
        own = self.queries.embedded if isinstance(self.queries, EmbeddedQueries) else None
        return None if own is None else replace(self, queries=own)

    @property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths of nested q-nets, rising; empty without nesting."""
        return self.queries.widths if isinstance(self.queries, NestedQueries) else ()

    def narrow(self, width: int) -> QueryBatch:
        """Return these queries with q-nets of one of the widths.

        Raises:
            ModelError: The q-nets do not have this width.
        """
        if not isinstance(self.queries, NestedQueries):
            raise ModelError(f"There are no q-nets of width {width}.")
        return replace(self, queries=self.queries.narrow(width))

    def __call__(self, items: Tensor) -> Tensor:
        """Return outputs ``[q, i, 1]`` for the items ``[q, i, d]`` of each query."""
        return self.queries(items)

    def score(self, items: Tensor) -> Tensor:
        """Return scores of the items ``[n, d]``, followed by those of additional passages."""
        return self.queries.score(torch.cat([items, self._others(items)]))

    def _others(self, items: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class WithRandomNegatives(ExtraNegatives):
    """Queries that score random negatives too.

    Attributes:
        extra: Embeddings ``[r, d]`` of the random negatives.
    """

    extra: Tensor

    def _others(self, items: Tensor) -> Tensor:
        return self.extra.to(items)


@dataclass(frozen=True)
class AcrossProcesses(ExtraNegatives):
    """Queries that also score the passages of other processes, which are gathered here."""

    def _others(self, items: Tensor) -> Tensor:
        return of_other_processes(items)


class TrainingStep(nn.Module):
    """The module that the Trainer trains: a dual encoder with its losses.

    It has no ``config`` that the Trainer could change. Nested q-nets are trained at each width: a
    loss is then the mean over the widths.

    Args:
        dual: The dual encoder.
        stages: The steps in which each loss counts; empty means always.
        recompute: Whether to compute the activations of a chunk again in the backward pass.
        across_processes: Whether in-batch losses use the passages of all processes.

    Attributes:
        number: Number of the optimiser step, from 0, on which stages depend.

    Raises:
        ModelError: The dual encoder has no loss.
    """

    def __init__(
        self,
        dual: HypencoderDualEncoder | TextDualEncoder,
        *,
        stages: Sequence[Stage] = (),
        recompute: bool = False,
        across_processes: bool = False,
    ) -> None:
        super().__init__()
        if not dual.loss_functions:
            raise ModelError("The model has no loss to train with.", hint="Add [[losses]].")
        self.dual = dual
        self.number = 0
        names = list(dual.loss_functions)
        self._stages = dict(zip(names, stages or (Stage(),) * len(names), strict=True))
        self._recompute = recompute
        self._across_processes = across_processes

    def forward(
        self,
        queries: Mapping[str, Any],
        passages: Mapping[str, Any],
        random: Mapping[str, Any] | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss``, and each loss by name if there are several.

        Args:
            queries: The ``q`` queries from the collator: chunks of tokens, or states.
            passages: The ``q * i`` passages, those of the first query first: chunks of tokens, or
                embeddings.
            random: The ``r`` random negatives, in the form of ``passages``.
            labels: A teacher's scores ``[q, i]``.
        """
        batch = self.encode_queries(queries)
        vectors = self.encode_passages(passages)
        extra = None if random is None else self.encode_passages(random)
        outputs = self.dual.losses(
            self._with_extra_negatives(batch, extra),
            vectors,
            labels,
            names=[name for name, stage in self._stages.items() if stage.holds(self.number)],
        )
        losses = {name: output.loss for name, output in outputs.items()}
        total = torch.stack(list(losses.values())).sum()
        return {"loss": total, **(losses if len(self._stages) > 1 else {})}

    def _with_extra_negatives(self, queries: QueryBatch, extra: Tensor | None) -> QueryBatch:
        """Return queries that also score all additional passages for in-batch losses."""
        if extra is not None:
            queries = WithRandomNegatives(queries, extra)
        together = self._across_processes and self.training and n_processes() > 1
        return AcrossProcesses(queries) if together else queries

    def encode_queries(self, side: Mapping[str, Any]) -> QNetBatch | InnerProducts:
        """Return q-nets, or query vectors, of the queries of a batch."""
        if "states" in side:
            encoder = self.dual.query_encoder
            return self.dual.query_batch(encoder(None, side["mask"], token_states=side["states"]))
        chunks = [self._encode(self._read_queries, ids, mask) for ids, mask in side["chunks"]]
        columns = zip(*(chunk.flatten() for chunk in chunks), strict=True)
        whole: QNetBatch | InnerProducts = chunks[0].unflatten(
            [_joined(column, side) for column in columns]
        )
        return whole

    def encode_passages(self, side: Mapping[str, Any]) -> Tensor:
        """Return embeddings ``[n, d]`` of passages."""
        if "embeddings" in side:
            vectors: Tensor = side["embeddings"]
            return vectors
        parts = [self._encode(self._read_passages, ids, mask) for ids, mask in side["chunks"]]
        return _joined(parts, side)

    def _encode(self, read: Any, ids: Tensor, mask: Tensor) -> Any:
        if self._recompute and torch.is_grad_enabled():
            return checkpoint(read, ids, mask, use_reentrant=False)
        return read(ids, mask)

    def _read_passages(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors: Tensor = self.dual.passage_encoder(ids, mask).representation
        return vectors

    def _read_queries(self, ids: Tensor, mask: Tensor) -> QNetBatch | InnerProducts:
        return self.dual.query_batch(self.dual.query_encoder(ids, mask))


def _joined(chunks: Sequence[Tensor], side: Mapping[str, Any]) -> Tensor:
    """Join the outputs of chunks, in the order of the batch."""
    return chunks[0] if len(chunks) == 1 else torch.cat(list(chunks))[side["order"]]
