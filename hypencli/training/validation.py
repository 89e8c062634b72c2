"""Validation during training: the loss of held-out rows, and retrieval over their passages.

Retrieval is exact search over passages encoded with the current weights. With a frozen encoder,
passages are encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.scorers import scorer_of
from hypencli.errors import DataError
from hypencli.evaluation.measures import evaluate, parse_measures
from hypencli.models.encoding import (
    EncodingOptions,
    QueryStates,
    encode_query_tokens,
    encode_tokens,
)
from hypencli.records import Document, Qrels, Query, Ranking, TrainingRow
from hypencli.training.config import Sampling, TrainingConfig, ValidationConfig
from hypencli.training.data.examples import Example, Examples, TrainingSet
from hypencli.training.data.sampling import split_rows
from hypencli.training.data.state_cache import EncodedSet
from hypencli.training.data.token_tables import TokenTable, TokenWriter
from hypencli.training.step import TrainingStep

_DEPTH = 1_000
"""Documents a query gets, enough for the deepest usual measure."""

_VECTOR_BATCH = 256
"""Number of queries of a bi-encoder that are searched together."""


@dataclass(frozen=True, slots=True)
class JudgedCorpus:
    """A test set to search during training.

    Attributes:
        key: Identifies the content of the test set.
        queries: The queries.
        documents: The corpus, read once.
        qrels: Relevance judgements of the queries.
    """

    key: str
    queries: Sequence[Query]
    documents: Iterable[Document]
    qrels: Qrels


@dataclass(frozen=True, slots=True)
class HeldOutRows:
    """Validation rows in the form of training rows, which are not used for training.

    Attributes:
        key: Identifies the content of the rows.
        rows: The rows, read once.
    """

    key: str
    rows: Iterable[TrainingRow]


@dataclass(frozen=True, slots=True)
class SearchTask:
    """The queries and passages of a validation search, as tokens.

    Attributes:
        queries: The queries.
        passages: The passages to rank.
        qrels: Position of a query -> position of a passage -> grade, with positions as text.
    """

    queries: TokenTable
    passages: TokenTable
    qrels: Qrels


def task_of_rows(rows: TrainingSet, sampling: Sampling) -> SearchTask:
    """Return a task in which queries search their positives in the passages of all rows."""
    split = split_rows(rows.rows, sampling)
    qrels: dict[str, dict[str, int]] = {}
    for row in range(len(rows.rows)):
        within = rows.rows.items(row)
        relevant = rows.rows.passages[within][split.positive[within]]
        grades = qrels.setdefault(str(rows.rows.query[row]), {})
        grades.update((str(passage), 1) for passage in relevant)
    return SearchTask(rows.queries, rows.passages, qrels)


def write_corpus(
    folder: Path, judged: JudgedCorpus, tokenizer: Any, *, lengths: tuple[int, int]
) -> None:
    """Tokenise a judged corpus; ``lengths`` are most tokens of queries and of passages."""
    for name, texts, length in (
        ("queries", (query.text for query in judged.queries), lengths[0]),
        ("passages", (document.text for document in judged.documents), lengths[1]),
    ):
        writer = TokenWriter(folder, name, tokenizer, length)
        positions = np.array([writer.add(text) for text in texts], dtype=np.int64)
        writer.finish()
        np.save(folder / f"{name}.positions.npy", positions)


def task_of_corpus(folder: Path, judged: JudgedCorpus) -> SearchTask:
    """Open the task that :func:`write_corpus` wrote; equal texts count as one.

    Raises:
        DataError: No query has a judgement.
    """
    query_at = np.load(folder / "queries.positions.npy", allow_pickle=False)
    passage_at = np.load(folder / "passages.positions.npy", allow_pickle=False)
    passages = {document.doc_id: str(passage_at[i]) for i, document in enumerate(judged.documents)}
    qrels: dict[str, dict[str, int]] = {}
    for i, query in enumerate(judged.queries):
        for doc_id, grade in judged.qrels.get(query.query_id, {}).items():
            if doc_id in passages:
                grades = qrels.setdefault(str(query_at[i]), {})
                grades[passages[doc_id]] = max(grade, grades.get(passages[doc_id], grade))
    if not qrels:
        raise DataError(
            "No validation query has a judgement on a document of the validation corpus.",
            hint="Check validation.queries, validation.corpus and validation.qrels.",
        )
    return SearchTask(
        TokenTable.open(folder, "queries"), TokenTable.open(folder, "passages"), qrels
    )


class Validation:
    """The validation of a model during training.

    Args:
        step: The training step.
        task: The queries and passages to search.
        config: The configuration of the run.
        settings: Settings of validation.
        batches: Returns batches of held-out rows, whose loss is measured; None without rows.
        encoded: Cached outputs of the frozen encoders for the texts of the task, or None.
    """

    def __init__(
        self,
        step: TrainingStep,
        task: SearchTask,
        config: TrainingConfig,
        settings: ValidationConfig,
        *,
        batches: Callable[[], Iterable[Mapping[str, Any]]] | None = None,
        encoded: EncodedSet | None = None,
    ) -> None:
        self._step, self._task, self._config = step, task, config
        self._measures = parse_measures(settings.measures)
        self._batches, self._encoded = batches, encoded

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return ``loss`` if there are held-out rows, and each measure by name."""
        was_training = self._step.training
        self._step.eval()
        try:
            values = {} if self._batches is None else {"loss": self._loss()}
            evaluation = evaluate(self._search(), self._task.qrels, self._measures)
            return {**values, **evaluation.aggregates}
        finally:
            self._step.train(was_training)

    def _loss(self) -> float:
        """Return the mean loss over the batches of held-out rows."""
        losses: list[float] = []
        for batch in self._batches() if self._batches is not None else ():
            with self._options.autocast():
                losses.append(self._step(**_on_device(batch, self._config.device))["loss"].item())
        return sum(losses) / len(losses)

    def _search(self) -> dict[str, Ranking]:
        """Return the ranking of every judged query, with positions as text."""
        queries, vectors = self._encoded_queries(), self._vectors()
        dim = self._step.dual.passage_encoder.width
        rankings: dict[str, Ranking] = {}
        engine = ExactEngine(VectorCorpus(vectors), device=self._config.device)
        size = None if queries.has_q_nets else _VECTOR_BATCH
        for batch in queries.batches(size):
            result = engine.search(scorer_of(queries, batch, dim), k=_DEPTH)
            rankings.update(
                (str(place), one) for place, one in zip(batch, result.rankings, strict=True)
            )
        return rankings

    def _encoded_queries(self) -> QueryStates:
        encoder = self._step.dual.query_encoder
        if self._encoded is None:
            queries = self._task.queries
            return encode_query_tokens(encoder, queries, queries.pad_id, self._options)
        states = self._encoded.queries
        of_each = [
            torch.from_numpy(states.states[start:stop].astype(np.float32))
            for start, stop in zip(states.offsets, states.offsets[1:], strict=False)
        ]
        queries = QueryStates(encoder, of_each, self._options)
        if queries.has_q_nets:
            return queries
        vectors = [
            encoder(token_states=each.to(self._config.device).unsqueeze(0)).representation[0]
            for each in of_each
        ]
        return QueryStates(encoder, vectors, self._options)

    def _vectors(self) -> npt.NDArray[np.float32]:
        if self._encoded is not None:
            return self._encoded.passages
        if self._step.dual.passage_encoder.frozen:
            return self._frozen_vectors
        return self._encode_passages()

    @cached_property
    def _frozen_vectors(self) -> npt.NDArray[np.float32]:
        return self._encode_passages()

    def _encode_passages(self) -> npt.NDArray[np.float32]:
        encoder, passages = self._step.dual.passage_encoder, self._task.passages
        vectors = np.empty((len(passages), encoder.width), dtype=np.float32)
        encode_tokens(encoder, passages, passages.pad_id, self._options, out=vectors)
        return vectors

    @property
    def _options(self) -> EncodingOptions:
        return EncodingOptions(
            max_length=self._config.passage_max_length,
            dtype=torch.bfloat16 if self._config.mixed_bfloat16 else torch.float32,
            device=self._config.device,
        )


def batches_of(
    examples: Examples, collate: Callable[[Sequence[Example]], dict[str, Any]], batch_size: int
) -> Callable[[], Iterable[Mapping[str, Any]]]:
    """Return a function that yields held-out batches in file order, drawn for epoch 0."""

    def batches() -> Iterable[Mapping[str, Any]]:
        for start in range(0, len(examples), batch_size):
            stop = min(start + batch_size, len(examples))
            yield collate([examples[0, i] for i in range(start, stop)])

    return batches


def _on_device(value: Any, device: torch.device) -> Any:
    """Return a batch with its tensors on the device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _on_device(each, device) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_device(each, device) for each in value)
    return value
