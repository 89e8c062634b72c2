"""Encoding of a corpus into embedding shards: streamed, resumable, and divisible into parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from hypencli.data.reading.skipped_lines import SkippedLines
from hypencli.ops.drafts import NameNotGiven, discard_unless_shards, name_not_given
from hypencli.ops.embedding_sets.identity import (
    FIELDS,
    earlier_content,
    embedding_spec,
    known_spec,
)
from hypencli.ops.embedding_sets.options import (
    AUTO_DTYPE,
    SHARD_ROWS,
    EncodeOptions,
    bytes_of_vectors,
    checked_storage_dtype,
)
from hypencli.ops.embedding_sets.precision import (
    Precision,
    assumed_precision,
    measured_precision,
)
from hypencli.ops.embedding_sets.shards import ShardsWritten, count_cut, write_shards
from hypencli.ops.models import LoadedModel, ModelSource, display_name, find_model, load_model
from hypencli.own_places import place_seals
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance, resolve_device
from hypencli.tabular import NotebookRecord
from hypestore import ArtifactBusy, EmbeddingSpec, EmbeddingWork, JsonValue, Manifest, Store

if TYPE_CHECKING:
    import torch

    from hypencli.data.corpus import Corpus

__all__ = [
    "SHARD_ROWS",
    "EncodeOptions",
    "EncodePlan",
    "Encoded",
    "bytes_of_vectors",
    "checked_storage_dtype",
    "encode",
    "plan",
]


@dataclass(frozen=True, slots=True)
class EncodePlan:
    """What an encode would do.

    Attributes:
        embeddings: Id of the embedding set.
        model: Name or id of the model.
        corpus: Id of the corpus.
        n_documents: Number of documents, if known.
        n_shards: Number of shards, if known.
        shards_done: Number of finished shards.
        dim: Width of the vectors.
        bytes_on_disk: Size of all vectors in bytes, if known.
        finished: Whether the store has the embedding set.
    """

    embeddings: str
    model: str
    corpus: str
    n_documents: int | None
    n_shards: int | None
    shards_done: int
    dim: int
    bytes_on_disk: int | None
    finished: bool


@dataclass(frozen=True, slots=True)
class Encoded(NotebookRecord):
    """Result of an encode.

    Attributes:
        embeddings: Id of the embedding set.
        name: Name of the embedding set, if it has one.
        model: Name or id of the model.
        corpus: Id of the corpus.
        finished: Whether the set is complete.
        existing: Whether the store had the set before this call.
        n_documents: Number of documents.
        dim: Width of the vectors.
        encoded: Documents encoded by this call.
        seconds: Time of this call in seconds.
        rate: Documents encoded per second of encoding; None if none was.
        found: Documents that earlier calls had encoded.
        resumed_at: Number of the shard from which this call went on; None if it began anew.
        max_length: Maximum number of tokens of a document.
        n_cut: Number of documents with more tokens, which were cut; None if it is unknown.
        missing_shards: Numbers of the shards that other parts must still encode.
        skipped: Number of malformed lines that were skipped.
        first_skipped: Errors of the first skipped lines.
        name_not_given: A requested name that an existing set did not get.
    """

    embeddings: str
    name: str | None
    model: str
    corpus: str
    finished: bool
    existing: bool
    n_documents: int
    dim: int
    encoded: int
    seconds: float
    rate: float | None = None
    found: int = 0
    resumed_at: int | None = None
    max_length: int | None = None
    n_cut: int | None = None
    missing_shards: list[int] = field(default_factory=list)
    skipped: int = 0
    first_skipped: list[str] = field(default_factory=list)
    name_not_given: NameNotGiven | None = None


def encode(
    store: Store,
    corpus: Corpus,
    model: ModelSource,
    options: EncodeOptions | None = None,
    progress: Progress = SILENT,
) -> Encoded:
    """Encode a corpus into the store.

    A finished set is not encoded again: content, passage encoder and lengths identify it, whatever
    the name of the file. An interrupted encode loses about a minute of work. With ``part``, several
    processes share the shards of one set, and the last one completes it.

    Args:
        store: The project store.
        corpus: Documents to encode.
        model: Model whose passage encoder is used.
        options: How to encode.
        progress: Where to report.

    Raises:
        UsageError: ``storage_dtype`` is not ``float16`` or ``float32``.
        DataError: The corpus is empty, has a duplicate id, or was changed while it was read.
        StoreError: Another process writes the same part, or the disk space is not sufficient.
    """
    options = options or EncodeOptions()
    manifest = find_model(store, model, progress)
    started = time.perf_counter()
    lazy = _LazyModel(store, manifest, options.device, trust_code=model.trust_code)
    measure = partial(lazy.measure, corpus, progress)
    fitting = _fitting_work(store, corpus, manifest, options, measure, progress)
    spec, asked, options = fitting.spec, options, fitting.options
    with _turn(store, spec, options, progress) as work, discard_unless_shards(work):
        if work.existing is not None:
            unnamed = name_not_given(store, work.existing, options.name)
            return _outcome(work.existing, manifest, corpus, unnamed)
        progress.message(
            f"encoding {corpus.id} with {display_name(manifest)} on {lazy.device}: {work.id}"
        )
        written = write_shards(work, corpus, lazy.loaded, options, progress)
        missing = work.missing(-(-written.seen // options.shard_rows))
        seconds = time.perf_counter() - started
        if missing:
            return _unfinished(work, manifest, corpus, written, seconds, options)
        shards = range(-(-written.seen // options.shard_rows))
        done = work.finish(
            written.seen,
            stats={
                **_stats(corpus, written, seconds),
                **_nearness(fitting.precision, corpus, lazy, asked),
                "n_cut": count_cut(work, shards),
            },
            provenance={
                **provenance(device=str(lazy.device)),
                **place_seals(queries=corpus.queries),
            },
            documents=written.documents,
        )
        unnamed = name_not_given(store, done, options.name)  # another process may have been first
        return _outcome(done, manifest, corpus, unnamed, written, seconds)


def _stats(corpus: Corpus, written: ShardsWritten, seconds: float) -> dict[str, JsonValue]:
    """Statistics of an encode, for the manifest."""
    stats: dict[str, JsonValue] = {
        "seconds": {"total": seconds, "encoding": written.seconds},
        "encoded_by_last_process": written.encoded,
        "queries": corpus.queries,
        FIELDS: dict(corpus.fields),
    }
    if corpus.skipped is not None:
        stats["skipped"] = {**asdict(corpus.skipped)}
    return stats


@contextmanager
def _turn(
    store: Store, spec: EmbeddingSpec, options: EncodeOptions, progress: Progress
) -> Iterator[EmbeddingWork]:
    """Lock an embedding set, after a message and a wait if another process has the lock."""

    def work(wait_seconds: float) -> EmbeddingWork:
        return store.embedding_work(
            spec, name=options.name, part=options.part, wait_seconds=wait_seconds
        )

    limit = options.wait_seconds
    with ExitStack() as stack:
        try:
            entered = stack.enter_context(work(0.0))
        except ArtifactBusy as busy:
            if not limit:
                raise
            progress.message(f"{busy.message} Waiting up to {limit:g} s.")
            entered = stack.enter_context(work(limit))
        yield entered


def plan(
    store: Store,
    corpus: Corpus,
    model: ModelSource,
    options: EncodeOptions | None = None,
    progress: Progress = SILENT,
    *,
    read: bool = False,
) -> EncodePlan:
    """Plan an encode without doing it. Arguments and errors are those of :func:`encode`.

    No model is loaded, so for the dtype ``auto`` and a new set the plan assumes that the faster
    arithmetic is near enough to float32.

    Args:
        store: The project store.
        corpus: Documents to encode.
        model: Model whose passage encoder is used.
        options: How to encode.
        progress: Where to report.
        read: Read all documents of a file, as an encode does: then each line that cannot be encoded
            is found, and the number of documents is exact.
    """
    options = options or EncodeOptions()
    manifest = find_model(store, model, progress)
    count = _read_through(corpus, options, progress) if read else corpus.count
    if count is not None and options.limit is not None:
        count = min(count, options.limit)
    fitting = _fitting_work(store, corpus, manifest, options, assumed_precision)
    spec, options = fitting.spec, fitting.options
    n_shards = None if count is None else -(-count // options.shard_rows)
    size = None if count is None else bytes_of_vectors(count, spec.dim, options.storage_dtype)
    return EncodePlan(
        embeddings=spec.id,
        model=display_name(manifest),
        corpus=corpus.id,
        n_documents=count,
        n_shards=n_shards,
        shards_done=store.shards_done(spec),
        dim=spec.dim,
        bytes_on_disk=size,
        finished=store.has(spec.id),
    )


def _read_through(corpus: Corpus, options: EncodeOptions, progress: Progress) -> int | None:
    """Read the documents of a file; return how many they are, or the known number of others."""
    if not corpus.has_lines:
        return corpus.count
    seen = 0
    with progress.task("read", total=options.limit, unit="documents") as task:
        for _ in corpus.read(options.limit):
            seen += 1
            task.advance()
    return seen


class _LazyModel:
    """The model of an encode, which is loaded when it is needed; a finished set needs none."""

    def __init__(
        self, store: Store, manifest: Manifest, device: str | None, *, trust_code: bool
    ) -> None:
        self._store, self._manifest, self._named = store, manifest, device
        self._trust_code = trust_code

    @cached_property
    def device(self) -> torch.device:
        """The device of the encoder."""
        return resolve_device(self._named)

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model in memory."""
        return load_model(
            self._store, self._manifest, device=self.device, trust_code=self._trust_code
        )

    def measure(self, corpus: Corpus, progress: Progress, options: EncodeOptions) -> Precision:
        """Choose the arithmetic of a new set, and say what was measured."""
        precision = measured_precision(corpus, lambda: self.loaded, options)
        if precision.text is not None:
            progress.message(precision.text)
        return precision


@dataclass(frozen=True, slots=True)
class _FittingWork:
    """The embedding set of a command, and the options with its dtype and shards."""

    spec: EmbeddingSpec
    options: EncodeOptions
    precision: Precision | None = None


def _nearness(
    precision: Precision | None, corpus: Corpus, lazy: _LazyModel, asked: EncodeOptions
) -> dict[str, JsonValue]:
    """How near the arithmetic is to float32, for the manifest.

    Whoever goes on with a set that another command has begun measures again, so that the manifest
    is the same wherever the work was interrupted.
    """
    if precision is None and asked.dtype == AUTO_DTYPE:
        precision = measured_precision(corpus, lambda: lazy.loaded, asked)
    measured = None if precision is None else precision.least_cosine
    return {} if measured is None else {"least_cosine_to_float32": measured}


def _fitting_work(
    store: Store,
    corpus: Corpus,
    manifest: Manifest,
    options: EncodeOptions,
    choose: Callable[[EncodeOptions], Precision],
    progress: Progress = SILENT,
) -> _FittingWork:
    """The embedding set, and the options with its dtype and shards.

    A set of the same content comes first, then one that any process has begun. Without one,
    ``choose`` says what the dtype ``auto`` is.
    """
    dtypes = ("bfloat16", "float32") if options.dtype == AUTO_DTYPE else (options.dtype,)
    candidates = [embedding_spec(corpus, manifest, replace(options, dtype=one)) for one in dtypes]
    spec, precision = known_spec(store, candidates), None
    if spec is None:
        spec = candidates[0]
        if len(candidates) > 1:
            precision = choose(options)
            spec = next(one for one in candidates if one.inputs["dtype"] == precision.dtype)
        other = earlier_content(store, spec)
        if other is not None:
            progress.message(
                f"{corpus.id} was changed since the unfinished set {other} was begun; this is "
                "another set"
            )
    fitting = replace(options, dtype=str(spec.inputs["dtype"]), shard_rows=spec.shard_rows)
    return _FittingWork(spec, fitting, precision)


def _unfinished(
    work: EmbeddingWork,
    model: Manifest,
    corpus: Corpus,
    written: ShardsWritten,
    seconds: float,
    options: EncodeOptions,
) -> Encoded:
    """The result of a part that is not the last."""
    skipped = corpus.skipped or SkippedLines()
    n_shards = -(-written.seen // options.shard_rows)
    return Encoded(
        embeddings=work.id,
        name=options.name,
        model=display_name(model),
        corpus=corpus.id,
        finished=False,
        existing=False,
        n_documents=written.seen,
        dim=work.dim,
        encoded=written.encoded,
        seconds=seconds,
        rate=written.rate,
        found=written.found,
        resumed_at=written.resumed_at,
        max_length=options.max_length,
        n_cut=count_cut(work, options.shards_of(written.seen)),
        missing_shards=work.missing(n_shards),
        skipped=skipped.count,
        first_skipped=skipped.first,
    )


def _outcome(
    done: Manifest,
    model: Manifest,
    corpus: Corpus,
    unnamed: NameNotGiven | None,
    written: ShardsWritten | None = None,
    seconds: float = 0.0,
) -> Encoded:
    """The result of a finished set, which existed before if nothing was ``written``."""
    skipped = SkippedLines(**cast("dict[str, Any]", done.stats.get("skipped") or {}))
    this = written or ShardsWritten()
    return Encoded(
        embeddings=done.id,
        name=done.name,
        model=display_name(model),
        corpus=corpus.id,
        finished=True,
        existing=written is None,
        n_documents=done.stat_int("n_documents"),
        dim=done.stat_int("dim"),
        encoded=this.encoded,
        seconds=seconds,
        rate=this.rate,
        found=this.found,
        resumed_at=this.resumed_at,
        max_length=done.input_int("max_length"),
        n_cut=cast("int | None", done.stats.get("n_cut")),
        skipped=skipped.count,
        first_skipped=skipped.first,
        name_not_given=unnamed,
    )
