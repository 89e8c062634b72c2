"""The shards of an embedding set: encoded in windows, and kept piece by piece within a shard.

A shard has a fixed number of documents, so that every process writes equal files. It may take long
on a slow machine. Therefore the vectors since the last piece are written about once a minute, and
an interrupted shard goes on behind its last piece. The batches of a shard follow from its texts
alone, so that its vectors do not depend on where it was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from hypencli.data.reading.base import ContentChanged
from hypencli.errors import DataError
from hypencli.ops.embedding_sets.options import EncodeOptions, bytes_of_vectors
from hypencli.ops.models import LoadedModel, unchanged_weights
from hypencli.progress import Progress, Task
from hypencli.records import Document
from hypencli.runtime import resolve_device, resolve_dtype
from hypestore import EmbeddingWork, ShardNote, documents_sha256

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from hypencli.data.corpus import Corpus
    from hypencli.models.encoding import EncodingOptions

WINDOW_ROWS = 8_192
"""Documents that are tokenised and sorted by length together."""

PIECE_SECONDS = 60.0
"""Most time of encoding, apart from one batch, that an interruption loses."""


@dataclass(slots=True)
class ShardsWritten:
    """What a command did with the shards of a set.

    Attributes:
        seen: Documents that were read, those of other parts too.
        encoded: Documents that were encoded.
        found: Documents of this part that earlier commands had encoded.
        resumed_at: Number of the first shard that was not complete, if something was found.
        seconds: Time of encoding in seconds, without reading what was there.
        documents: ``documents_sha256`` of each shard that was read.
    """

    seen: int = 0
    encoded: int = 0
    found: int = 0
    resumed_at: int | None = None
    seconds: float = 0.0
    documents: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float | None:
        """Documents that were encoded per second of encoding; None without any."""
        return self.encoded / self.seconds if self.encoded and self.seconds else None


def write_shards(
    work: EmbeddingWork,
    corpus: Corpus,
    loaded: LoadedModel,
    options: EncodeOptions,
    progress: Progress,
) -> ShardsWritten:
    """Encode the missing shards of this part.

    All documents are read, and compared with the fingerprint of the corpus, as they are read.

    Raises:
        DataError: The corpus is empty.
        ContentChanged: The corpus was changed while it was read. The shards of this command are
            deleted then.
        DiskFull: The space is not sufficient.
    """
    count = _known_count(corpus, options)
    free_space = FreeSpaceCheck(work, count, options, dim=loaded.manifest.stat_int("dim"))
    free_space.require()
    left = None if count is None else work.missing_rows(count, options.shards_of(count))
    written: list[int] = []
    with (
        unchanged_weights(loaded),
        progress.task("encode", total=left, unit="documents") as task,
    ):
        writer = _ShardWriter(work, loaded, options, _Left(task, left), progress)
        try:
            for index, documents in enumerate(_shards(corpus, options)):
                if writer.take(index, documents):
                    written.append(index)
                    free_space.after(index, len(documents))
        except ContentChanged:
            for index in written:
                work.drop_shard(index)
            raise
    if not writer.done.seen:
        raise DataError(f"The corpus {corpus.id} has no documents to encode.")
    return writer.done


def _known_count(corpus: Corpus, options: EncodeOptions) -> int | None:
    """Number of documents that are to be encoded; None if it is unknown."""
    count = corpus.count
    return count if count is None or options.limit is None else min(count, options.limit)


def _shards(corpus: Corpus, options: EncodeOptions) -> Iterator[list[Document]]:
    stream = corpus.read(options.limit)
    while documents := list(islice(stream, options.shard_rows)):
        yield documents


@dataclass(slots=True)
class _Left:
    """The progress of this command: documents that it encodes, without those that it finds."""

    task: Task
    total: int | None

    def found(self, count: int) -> None:
        """Report documents of the total that need not be encoded."""
        if self.total is not None and count:
            self.total -= count
            self.task.set_total(self.total)


class _ShardWriter:
    """Encodes shard after shard, and keeps account of it in ``done``."""

    def __init__(
        self,
        work: EmbeddingWork,
        loaded: LoadedModel,
        options: EncodeOptions,
        left: _Left,
        progress: Progress,
    ) -> None:
        self.done = ShardsWritten()
        self._work = work
        self._loaded = loaded
        self._options = options
        self._settings = _settings(options)
        self._left = left
        self._progress = progress

    def take(self, index: int, documents: list[Document]) -> bool:
        """Encode a shard of this part unless it is written; return whether it was."""
        digest = documents_sha256((one.doc_id, one.text) for one in documents)
        self.done.seen += len(documents)
        self.done.documents.append(digest)
        if not self._options.is_mine(index):
            return False
        if self._work.has_shard(index, digest):
            self.done.found += len(documents)
            return False
        if self._work.is_written(index):  # damaged, or of other documents: not in what is left
            self._left.found(-len(documents))
        self._encode(index, documents, digest)
        return True

    def _encode(self, index: int, documents: list[Document], digest: str) -> None:
        from hypencli.models.encoding import encode_tokens, tokenise_counting

        shard = _ShardVectors(self._work, index, digest, len(documents))
        self._tell_resumed(index, shard)
        self._left.task.note(f"shard {index}")
        started = time.perf_counter()
        n_cut = 0
        tokenizer = self._loaded.tokenizer
        for start in range(0, len(documents), WINDOW_ROWS):
            window = slice(start, start + WINDOW_ROWS)
            tokens = tokenise_counting(
                tokenizer, [one.text for one in documents[window]], self._settings.max_length
            )
            n_cut += tokens.n_cut
            encode_tokens(
                self._loaded.dual.passage_encoder,
                tokens.ids,
                tokenizer.pad_token_id or 0,
                self._settings,
                out=shard.vectors[window],
                on_encoded=partial(self._batch_done, shard, start),
                done=shard.is_done[window],
            )
        self._work.write_shard(
            index,
            [one.doc_id for one in documents],
            shard.vectors,
            [one.text for one in documents] if self._options.keep_text else None,
            note=ShardNote(documents_sha256=digest, n_cut=n_cut),
        )
        self.done.encoded += len(documents) - shard.n_found
        self.done.seconds += time.perf_counter() - started

    def _batch_done(self, shard: _ShardVectors, start: int, rows: list[int]) -> None:
        shard.keep(start, rows)
        self._left.task.advance(len(rows))

    def _tell_resumed(self, index: int, shard: _ShardVectors) -> None:
        """Say once where this command goes on, if earlier ones have done something."""
        self.done.found += shard.n_found
        self._left.found(shard.n_found)
        if self.done.found and not self.done.encoded and self.done.resumed_at is None:
            self.done.resumed_at = index
            self._progress.message(
                f"going on from shard {index}: {self.done.found:,} documents were encoded before"
            )


class _ShardVectors:
    """The vectors of one shard while it is encoded.

    Attributes:
        vectors: The vectors ``[n, d]``, as far as they are done.
        is_done: Which rows ``[n]`` were done by earlier commands.
    """

    def __init__(self, work: EmbeddingWork, index: int, digest: str, n: int) -> None:
        import numpy as np

        self._work, self._index, self._digest = work, index, digest
        self.vectors: npt.NDArray[np.float32] = np.empty((n, work.dim), dtype=np.float32)
        self.is_done: npt.NDArray[np.bool_] = np.zeros(n, dtype=bool)
        for rows, vectors in work.pieces(index, digest, n):
            self.vectors[rows] = vectors
            self.is_done[rows] = True
        self.n_found = int(self.is_done.sum())
        self._waiting: list[int] = []
        self._kept_at = time.monotonic()

    def keep(self, start: int, rows: list[int]) -> None:
        """Count the rows of a batch, and write a piece if the last one is a minute old.

        Args:
            start: First row of the window.
            rows: Rows of the batch in the window.
        """
        self._waiting += [start + row for row in rows]
        if time.monotonic() - self._kept_at >= PIECE_SECONDS:
            kept = self.vectors[self._waiting]
            self._work.write_piece(self._index, self._digest, self._waiting, kept)
            self._waiting = []
            self._kept_at = time.monotonic()


def _settings(options: EncodeOptions) -> EncodingOptions:
    from hypencli.models.encoding import EncodingOptions

    return EncodingOptions(
        max_length=options.max_length,
        batch_size=options.batch_size,
        dtype=resolve_dtype(options.dtype),
        device=resolve_device(options.device),
    )


def count_cut(work: EmbeddingWork, shards: Iterable[int]) -> int | None:
    """How many documents of some shards were cut; None if a shard has no note."""
    notes = [work.note(shard) for shard in shards]
    known = [note.n_cut for note in notes if note is not None]
    return sum(known) if len(known) == len(notes) else None


class FreeSpaceCheck:
    """Checks that the disk has space for the shards of this command.

    Before the first shard, the check counts the vectors, which are stored uncompressed. After it,
    the measured size of the shard, with compressed texts, is extrapolated. Nothing is checked if
    the number of documents is unknown.

    Args:
        work: The embedding set.
        count: Number of documents of the set, if known.
        options: How to encode.
        dim: Width of the vectors.
    """

    def __init__(
        self, work: EmbeddingWork, count: int | None, options: EncodeOptions, *, dim: int
    ) -> None:
        self._work = work
        self._rows_left = 0
        if count is not None:
            self._rows_left = work.missing_rows(count, options.shards_of(count))
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
