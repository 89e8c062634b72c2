"""The forward pass of a training step: a batch in, each loss and their sum out.

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
    """Queries that score more than their batch holds, wherever a loss scores the whole batch.

    A loss over the passages of each query alone sees nothing of it.

    Attributes:
        queries: The queries as they are.
    """

    queries: QueryBatch

    @property
    def num_queries(self) -> int:
        """How many queries, ``q``."""
        return self.queries.num_queries

    @property
    def embedded(self) -> QueryBatch | None:
        """These queries scoring with their embeddings; None where the model makes none."""
        own = self.queries.embedded if isinstance(self.queries, EmbeddedQueries) else None
        return None if own is None else replace(self, queries=own)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths that the queries' q-nets can be cut to; often none."""
        return self.queries.widths if isinstance(self.queries, NestedQueries) else ()

    def narrow(self, width: int) -> QueryBatch:
        """These queries with q-nets of one of the widths.

        Raises:
            ModelError: There is no such width.
        """
        if not isinstance(self.queries, NestedQueries):
            raise ModelError(f"There are no q-nets of width {width}.")
        return replace(self, queries=self.queries.narrow(width))

    def __call__(self, items: Tensor) -> Tensor:
        """Outputs ``[q, i, 1]`` for each query's own items ``[q, i, d]``."""
        return self.queries(items)

    def score(self, items: Tensor) -> Tensor:
        """Scores of the items ``[n, d]``, which come first, and of the others."""
        return self.queries.score(torch.cat([items, self._others(items)]))

    def _others(self, items: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class WithRandomNegatives(ExtraNegatives):
    """Queries that score random negatives too.

    Attributes:
        extra: Embeddings ``[r, d]`` of them.
    """

    extra: Tensor

    def _others(self, items: Tensor) -> Tensor:
        return self.extra.to(items)


@dataclass(frozen=True)
class AcrossProcesses(ExtraNegatives):
    """Queries that score the batches of all other processes too; q-nets stay where they are."""

    def _others(self, items: Tensor) -> Tensor:
        return of_other_processes(items)


class TrainingStep(nn.Module):
    """What the Trainer trains: a dual encoder with its losses, without a config that it may edit.

    A q-net with nested widths is trained at each of them: a loss is then the mean over the widths.

    Args:
        dual: The dual encoder.
        stages: When each loss counts; none given: always.
        recompute: Keep no activations of a chunk of texts: they are computed again when needed.
        across_processes: Whether in-batch losses count the passages of all processes.

    Attributes:
        number: Number of the optimiser step, from 0, which the stages go by.

    Raises:
        ModelError: It has no loss.
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
        """``loss``, and each loss by its name where there are several.

        Args:
            queries: The ``q`` queries, as the collator makes them: chunks of tokens, or states.
            passages: The ``q * i`` passages, those of the first query first: chunks of tokens, or
                embeddings.
            random: The ``r`` random negatives in the same form.
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
        """The queries with all that in-batch losses score beside the passages of the batch."""
        if extra is not None:
            queries = WithRandomNegatives(queries, extra)
        together = self._across_processes and self.training and n_processes() > 1
        return AcrossProcesses(queries) if together else queries

    def encode_queries(self, side: Mapping[str, Any]) -> QNetBatch | InnerProducts:
        """Q-nets, or query vectors, of the queries of a batch."""
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
        """Embeddings ``[n, d]`` of passages."""
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
    """What was made of the chunks, in the order of the batch."""
    return chunks[0] if len(chunks) == 1 else torch.cat(list(chunks))[side["order"]]
