"""Preparation of a run: rows as arrays, cached states, batches, and validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hypencli.errors import ModelError
from hypencli.models.building.fit_head import fit_head
from hypencli.models.checkpoints.backbone import refuse_unknown_tokens
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
from hypencli.models.encoding import TOKEN_BUDGET
from hypencli.models.fingerprint import tokenizer_fingerprint
from hypencli.models.hypernet import Hypencoder
from hypencli.progress import SILENT, Progress
from hypencli.records import TrainingRow
from hypencli.runtime import cache_name
from hypencli.training.callbacks import Point
from hypencli.training.config import TrainingConfig
from hypencli.training.data.collator import Collator
from hypencli.training.data.examples import Examples, TrainingSet, write_training_set
from hypencli.training.data.known_outputs import FindKnown, nothing_known
from hypencli.training.data.state_cache import (
    EncodedSet,
    FolderCaches,
    MakeCache,
    Texts,
    encoded_set,
)
from hypencli.training.step import TrainingStep
from hypencli.training.validation import (
    HeldOutRows,
    JudgedCorpus,
    SearchTask,
    Validation,
    batches_of,
    task_of_corpus,
    task_of_rows,
    write_corpus,
)

_TEXTS_FORMAT = 2
"""Version of the files of texts as tokens. Since the second, each text has its hash, and the rows
are those of their fingerprint."""

_QUERIES_TO_FIT = 1_000
"""Number of queries to fit a head to; a few hundred would be enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """The training data of a run.

    Attributes:
        rows: The rows, read once at most.
        key: Identifies the content of rows and pool; None shares no derived files with other runs.
        pool: Passages from which random negatives are drawn; None means those of the rows.
        validation: The data of validation, or None.
    """

    rows: Iterable[TrainingRow]
    key: str | None = None
    pool: Iterable[str] | None = None
    validation: HeldOutRows | JudgedCorpus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The folders of a run, and the functions that it reports to.

    Attributes:
        output_dir: The folder of checkpoints; a run continues from one that exists.
        caches: Returns folders of derived files that runs share; None keeps them in
            ``output_dir``.
        known: Returns what holds outputs of a frozen encoder already.
        on_points: Called with every new point of the curves, and with all earlier points when a
            run starts or continues.
        progress: Receives the progress.
    """

    output_dir: Path
    caches: MakeCache | None = None
    known: FindKnown = nothing_known
    on_points: Callable[[Iterable[Point]], None] = field(default=lambda points: None)
    progress: Progress = SILENT


class TrainingPreparation:
    """Derived files and batches of one run."""

    def __init__(
        self,
        dual: HypencoderDualEncoder | TextDualEncoder,
        tokenizer: Any,
        config: TrainingConfig,
        where: RunContext,
    ) -> None:
        self._dual, self._tokenizer, self._config = dual, tokenizer, config
        self._progress = where.progress
        self._shared, self._known = where.caches, where.known
        self._own = FolderCaches(where.output_dir / "cache")

    def training_set(self, data: TrainingData) -> tuple[TrainingSet, str]:
        """Return the training rows as arrays, and the name of their cache."""
        return self._rows(data.rows, data.key, data.pool, row_name="Training row")

    def _rows(
        self,
        rows: Iterable[TrainingRow],
        key: str | None,
        pool: Iterable[str] | None,
        *,
        row_name: str,
    ) -> tuple[TrainingSet, str]:
        def make(folder: Path) -> None:
            write_training_set(
                folder,
                rows,
                self._tokenizer,
                query_max_length=self._config.query_max_length,
                passage_max_length=self._config.passage_max_length,
                pool=pool,
                progress=self._progress,
            )

        name = self._name("rows", key)
        texts = TrainingSet.open(self._caches(key)(name, make), row_name=row_name)
        self._refuse_unknown_tokens(texts)
        return texts, name

    def _refuse_unknown_tokens(self, texts: Texts) -> None:
        """Refuse tokens for which an encoder has no embedding, before the first step."""
        dual = self._dual
        for table, encoder in (
            (texts.queries, dual.query_encoder),
            (texts.passages, dual.passage_encoder),
        ):
            largest = int(table.ids.max(initial=table.pad_id))
            refuse_unknown_tokens(encoder.transformer, largest)

    def _name(self, kind: str, key: str | None) -> str:
        return cache_name(
            kind,
            format=_TEXTS_FORMAT,
            key=key,
            tokenizer=tokenizer_fingerprint(self._tokenizer),
            lengths=(self._config.query_max_length, self._config.passage_max_length),
        )

    def _caches(self, key: str | None) -> MakeCache:
        return self._own if self._shared is None or key is None else self._shared

    def encoded(self, texts: Texts, name: str) -> EncodedSet | None:
        """Return the cached outputs of the frozen encoders for all texts, or None."""
        if self._config.cache is None:
            return None
        caches = self._own if self._shared is None else self._shared
        return encoded_set(
            self._dual,
            texts,
            self._config,
            caches,
            name=name,
            tokenizer=tokenizer_fingerprint(self._tokenizer),
            known=self._known,
            progress=self._progress,
        )

    def collator(
        self, texts: TrainingSet, encoded: EncodedSet | None, *, training: bool
    ) -> Collator:
        """Return a collator of a set; random negatives are for training only."""
        config = self._config
        return Collator(
            queries=texts.queries if encoded is None else encoded.queries,
            passages=texts.passages if encoded is None else encoded.passages,
            pool=texts.pool,
            random_negatives=config.sampling.random_negatives if training else 0,
            seed=config.seed,
            token_budget=TOKEN_BUDGET.get(config.device.type, TOKEN_BUDGET["cpu"]),
            chunk_size=config.chunk_size,
        )

    @torch.no_grad()
    def fit_head(self, texts: TrainingSet, *, scale: float) -> None:
        """Fit the hyper-head to the bi-encoder of the backbone; a resumed run overwrites it.

        Raises:
            ModelError: The model has no hyper-head, or the head cannot be fitted.
        """
        encoder, queries = self._dual.query_encoder, texts.queries
        if not isinstance(encoder, Hypencoder):
            raise ModelError("A bi-encoder has no hyper-head that could be fitted.")
        generator = torch.Generator().manual_seed(self._config.seed)
        places = torch.randperm(len(queries), generator=generator)[:_QUERIES_TO_FIT].tolist()
        states = []
        for i in places:
            ids, mask = queries.batch([i])
            device = self._config.device
            states_of_batch = encoder.token_states(ids.to(device), mask.to(device))
            states.append(states_of_batch[0].float().cpu())
        encoder.cpu()
        agreement = fit_head(
            encoder, states, generator, pooling=self._dual.passage_encoder.pooling, scale=scale
        )
        encoder.to(self._config.device)
        self._progress.message(
            f"hyper-head fitted to {len(states):,} queries: it writes their embeddings to a cosine "
            f"of {agreement:.4f}"
        )

    def validation(
        self, step: TrainingStep, data: HeldOutRows | JudgedCorpus | None
    ) -> Validation | None:
        """Return the validation of the model, or None."""
        settings = self._config.validation
        if settings is None or data is None:
            return None
        if isinstance(data, JudgedCorpus):
            task, name = self._judged(data)
            encoded = self.encoded(task, name)
            return Validation(step, task, self._config, settings, encoded=encoded)
        rows, name = self._rows(data.rows, data.key, None, row_name="Validation row")
        examples = Examples(
            rows.rows,
            self._config.sampling,
            seed=self._config.seed,
            with_scores=step.dual.needs_labels,
        )
        encoded = self.encoded(rows, name)
        collator = self.collator(rows, encoded, training=False)
        batches = batches_of(examples, collator, self._config.batch_size)
        task = task_of_rows(rows, self._config.sampling)
        return Validation(step, task, self._config, settings, batches=batches, encoded=encoded)

    def _judged(self, data: JudgedCorpus) -> tuple[SearchTask, str]:
        lengths = (self._config.query_max_length, self._config.passage_max_length)
        name = self._name("corpus", data.key)
        folder = self._caches(data.key)(
            name, lambda folder: write_corpus(folder, data, self._tokenizer, lengths=lengths)
        )
        task = task_of_corpus(folder, data)
        self._refuse_unknown_tokens(task)
        return task, name
