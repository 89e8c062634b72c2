"""Encoding of a corpus into embedding shards: streamed, resumable, and divisible into parts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from hypencli.data.reading.skipped_lines import SkippedLines
from hypencli.errors import DataError, UsageError
from hypencli.ops.drafts import NameNotGiven, discard_unless_shards, name_not_given
from hypencli.ops.models import (
    LoadedModel,
    ModelSource,
    display_name,
    find_model,
    load_model,
    unchanged_weights,
)
from hypencli.own_places import place_seals
from hypencli.progress import SILENT, Progress, Task
from hypencli.records import Document
from hypencli.runtime import provenance, resolve_device, resolve_dtype
from hypencli.tabular import NotebookRecord
from hypestore import ArtifactBusy, EmbeddingSpec, EmbeddingWork, JsonValue, Manifest, Store

if TYPE_CHECKING:
    from hypencli.data.corpus import Corpus
    from hypencli.models.encoding import EncodingOptions


AUTO_DTYPE = "auto"
StorageDtype: TypeAlias = Literal["float16", "float32"]
SHARD_ROWS = 16_384
"""Documents of a shard."""

WINDOW_ROWS = 8_192
"""Documents that are tokenised and sorted by length together."""


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How a corpus is encoded.

    Attributes:
        max_length: Maximum number of tokens of a document.
        dtype: Arithmetic of the encoder: ``float32``, ``bfloat16``, ``float16``, or ``auto``.
            ``auto`` uses the dtype of existing vectors with the same inputs, else bfloat16 if it is
            faster on this machine.
        storage_dtype: Type of the stored vectors, ``float16`` or ``float32``.
        batch_size: Texts per batch. None fills batches up to a number of tokens.
        device: Device of the encoder. None selects the best one.
        shard_rows: Documents per shard: the unit of resumption, of parts, and of memory.
        keep_text: Store the texts of the documents, so that results can be shown.
        limit: Encode only this many documents, from the start.
        part: ``(i, N)`` with i from 1: encode the i-th of N parts of the shards.
        name: Name of the embedding set.
        wait_seconds: Seconds to wait while another process writes the same set or part.
    """

    max_length: int = 512
    dtype: str = "float32"
    storage_dtype: str = "float16"
    batch_size: int | None = None
    device: str | None = None
    shard_rows: int = SHARD_ROWS
    keep_text: bool = True
    limit: int | None = None
    part: tuple[int, int] | None = None
    name: str | None = None
    wait_seconds: float = 0.0


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

    A finished set is not encoded again. An interrupted encode resumes at the first missing shard.
    With ``part``, several processes share the shards of one set, and the last one completes it.

    Args:
        store: The project store.
        corpus: Documents to encode.
        model: Model whose passage encoder is used.
        options: How to encode.
        progress: Where to report.

    Raises:
        UsageError: ``storage_dtype`` is not ``float16`` or ``float32``.
        DataError: The corpus is empty, or has a duplicate id.
        StoreError: Another process writes the same part, or the disk space is not sufficient.
    """
    options = options or EncodeOptions()
    manifest = find_model(store, model, progress)
    started = time.perf_counter()
    spec, options = _fitting_work(store, corpus, manifest, options)
    with _turn(store, spec, options, progress) as work, discard_unless_shards(work):
        if work.existing is not None:
            unnamed = name_not_given(store, work.existing, options.name)
            return _outcome(work.existing, manifest, corpus, unnamed, existing=True)
        device = resolve_device(options.device)
        loaded = load_model(store, manifest, device=device, trust_code=model.trust_code)
        progress.message(
            f"encoding {corpus.id} with {display_name(manifest)} on {device}: {work.id}"
        )
        seen, encoded = _encode_shards(work, corpus, loaded, options, progress)
        missing = work.missing(-(-seen // options.shard_rows))
        seconds = time.perf_counter() - started
        if missing:
            return Encoded(
                embeddings=work.id,
                name=options.name,
                model=display_name(manifest),
                corpus=corpus.id,
                finished=False,
                existing=False,
                n_documents=seen,
                dim=spec.dim,
                encoded=encoded,
                seconds=seconds,
                missing_shards=missing,
                skipped=0 if corpus.skipped is None else corpus.skipped.count,
                first_skipped=[] if corpus.skipped is None else corpus.skipped.first,
            )
        made_with = {**provenance(device=str(device)), **place_seals(queries=corpus.queries)}
        done = work.finish(seen, stats=_stats(corpus, encoded, seconds), provenance=made_with)
        unnamed = name_not_given(store, done, options.name)  # another process may have been first
        return _outcome(done, manifest, corpus, unnamed, encoded=encoded, seconds=seconds)


def _stats(corpus: Corpus, encoded: int, seconds: float) -> dict[str, JsonValue]:
    """Statistics of an encode, for the manifest."""
    stats: dict[str, JsonValue] = {
        "seconds": {"total": seconds},
        "encoded_by_last_process": encoded,
        "queries": corpus.queries,
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
) -> EncodePlan:
    """Plan an encode without doing it. Arguments and errors are those of :func:`encode`."""
    options = options or EncodeOptions()
    manifest = find_model(store, model, progress)
    spec, options = _fitting_work(store, corpus, manifest, options)
    count = corpus.count
    if count is not None and options.limit is not None:
        count = min(count, options.limit)
    n_shards = None if count is None else -(-count // options.shard_rows)
    size = None if count is None else bytes_of_vectors(count, spec.dim, options.storage_dtype)
    done = store.shards_done(spec)
    return EncodePlan(
        embeddings=spec.id,
        model=display_name(manifest),
        corpus=corpus.id,
        n_documents=count,
        n_shards=n_shards,
        shards_done=done,
        dim=spec.dim,
        bytes_on_disk=size,
        finished=store.has(spec.id),
    )


def _fitting_work(
    store: Store, corpus: Corpus, manifest: Manifest, options: EncodeOptions
) -> tuple[EmbeddingSpec, EncodeOptions]:
    """Resolve the dtype ``auto``: the embedding set, and the options with its dtype.

    The dtype is part of the id of a set. Therefore a finished set comes first, then a set that any
    process has begun, then the faster dtype on this machine.
    """
    if options.dtype != AUTO_DTYPE:
        return _spec(corpus, manifest, options), options
    either = [replace(options, dtype=dtype) for dtype in ("bfloat16", "float32")]
    candidates = [(_spec(corpus, manifest, one), one) for one in either]
    for exists in (store.has, store.find_unfinished):
        for spec, one in candidates:
            if exists(spec.id):
                return spec, one
    from hypencli.models.speed import fastest_dtype

    fastest = str(fastest_dtype(resolve_device(options.device))).removeprefix("torch.")
    return next(pair for pair in candidates if pair[1].dtype == fastest)


def _spec(corpus: Corpus, manifest: Manifest, options: EncodeOptions) -> EmbeddingSpec:
    """Identify an embedding set by the passage encoder, the corpus, and the options.

    Models with the same frozen passage encoder share their vectors.
    """
    inputs: dict[str, JsonValue] = {
        "passage_fingerprint": manifest.stats["passage_fingerprint"],
        "corpus": corpus.corpus_id,
        "corpus_fingerprint": corpus.fingerprint,
        "max_length": options.max_length,
        "dtype": options.dtype,
        "storage_dtype": options.storage_dtype,
        "shard_rows": options.shard_rows,
        "limit": options.limit,
        "keep_text": options.keep_text,
    }
    if corpus.skipped is not None:
        inputs["on_error"] = "skip"
    return EmbeddingSpec(
        id_prefix=corpus.id_prefix,
        inputs=inputs,
        parents=(manifest.id,),
        dim=manifest.stat_int("dim"),
        dtype=checked_storage_dtype(options.storage_dtype),
        shard_rows=options.shard_rows,
        keep_text=options.keep_text,
    )


def _encode_shards(
    work: EmbeddingWork,
    corpus: Corpus,
    loaded: LoadedModel,
    options: EncodeOptions,
    progress: Progress,
) -> tuple[int, int]:
    """Encode the missing shards of this part: numbers of documents read and encoded.

    Raises:
        DataError: The corpus is empty.
    """
    seen = encoded = 0
    count = corpus.count if options.limit is None else None
    free_space = FreeSpaceCheck(work, corpus, options, dim=loaded.manifest.stat_int("dim"))
    free_space.require()
    with (
        unchanged_weights(loaded),
        progress.task("encode", total=count or options.limit, unit="documents") as task,
    ):
        for index, documents in enumerate(_shards(corpus, options)):
            seen += len(documents)
            if not is_mine(index, options.part) or work.has_shard(index):
                task.advance(len(documents))
                continue
            task.note(f"shard {index}")
            _encode_shard(work, index, documents, loaded, options, task)
            encoded += len(documents)
            free_space.after(index, len(documents))
    if seen == 0:
        raise DataError(f"The corpus {corpus.id} has no documents to encode.")
    return seen, encoded


def _settings(options: EncodeOptions) -> EncodingOptions:
    from hypencli.models.encoding import EncodingOptions

    return EncodingOptions(
        max_length=options.max_length,
        batch_size=options.batch_size,
        dtype=resolve_dtype(options.dtype),
        device=resolve_device(options.device),
    )


def _shards(corpus: Corpus, options: EncodeOptions) -> Iterator[list[Document]]:
    stream = islice(iter(corpus), options.limit)
    while documents := list(islice(stream, options.shard_rows)):
        yield documents


def _encode_shard(
    work: EmbeddingWork,
    index: int,
    documents: list[Document],
    loaded: LoadedModel,
    options: EncodeOptions,
    task: Task,
) -> None:
    import numpy as np

    from hypencli.models.encoding import encode_passages

    settings = _settings(options)
    windows = [
        encode_passages(
            loaded.dual.passage_encoder,
            loaded.tokenizer,
            [document.text for document in documents[start : start + WINDOW_ROWS]],
            settings,
            on_encoded=task.advance,
        )
        for start in range(0, len(documents), WINDOW_ROWS)
    ]
    work.write_shard(
        index,
        [document.doc_id for document in documents],
        np.concatenate(windows),
        [document.text for document in documents] if options.keep_text else None,
    )


def _outcome(
    done: Manifest,
    model: Manifest,
    corpus: Corpus,
    unnamed: NameNotGiven | None,
    *,
    existing: bool = False,
    encoded: int = 0,
    seconds: float = 0.0,
) -> Encoded:
    skipped = SkippedLines(**cast("dict[str, Any]", done.stats.get("skipped") or {}))
    return Encoded(
        embeddings=done.id,
        name=done.name,
        model=display_name(model),
        corpus=corpus.id,
        finished=True,
        existing=existing,
        n_documents=done.stat_int("n_documents"),
        dim=done.stat_int("dim"),
        encoded=encoded,
        seconds=seconds,
        skipped=skipped.count,
        first_skipped=skipped.first,
        name_not_given=unnamed,
    )


def is_mine(shard: int, part: tuple[int, int] | None) -> bool:
    """Whether a shard belongs to part ``(i, N)``, i from 1."""
    return part is None or shard % part[1] == part[0] - 1


def bytes_of_vectors(rows: int, dim: int, storage_dtype: str) -> int:
    """Size in bytes of stored vectors ``[n, d]``."""
    return rows * dim * (2 if storage_dtype == "float16" else 4)


def checked_storage_dtype(name: str) -> StorageDtype:
    """Check the type of stored vectors.

    Raises:
        UsageError: It is not ``float16`` or ``float32``.
    """
    if name in get_args(StorageDtype):
        return cast("StorageDtype", name)
    raise UsageError(
        f"Vectors cannot be stored as {name!r}.", hint="Storage types: float16, float32"
    )


class FreeSpaceCheck:
    """Checks that the disk has space for the shards of this command.

    Before the first shard, the check counts the vectors, which are stored uncompressed. After it,
    the measured size of the shard, with compressed texts, is extrapolated. Nothing is checked if
    the number of documents is unknown.

    Args:
        work: The embedding set.
        corpus: Documents to encode.
        options: How to encode.
        dim: Width of the vectors.
    """

    def __init__(
        self, work: EmbeddingWork, corpus: Corpus, options: EncodeOptions, *, dim: int
    ) -> None:
        self._work = work
        self._rows_left = _rows_left(work, corpus, options)
        self._vectors = bytes_of_vectors(1, dim, options.storage_dtype)
        self._is_measured = False

    def require(self) -> None:
        """Check the space for the vectors, before the first shard.

        Raises:
            DiskFull: The space is not sufficient. The message has the required and free bytes.
        """
        self._work.require_space(self._rows_left * self._vectors)

    def after(self, shard: int, rows: int) -> None:
        """Check the space for the other shards, after the first one was written.

        Args:
            shard: Number of the shard that was written.
            rows: Its number of documents.

        Raises:
            DiskFull: The space is not sufficient.
        """
        self._rows_left = max(0, self._rows_left - rows)
        if not self._is_measured:
            self._is_measured = True
            self._work.require_space(self._work.shard_bytes(shard) * self._rows_left // rows)


def _rows_left(work: EmbeddingWork, corpus: Corpus, options: EncodeOptions) -> int:
    """Number of documents that this command must encode; 0 if unknown."""
    count = corpus.count
    if count is None:
        return 0
    count = count if options.limit is None else min(count, options.limit)
    shards = range(-(-count // options.shard_rows))
    return work.missing_rows(count, [one for one in shards if is_mine(one, options.part)])
