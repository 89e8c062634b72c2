"""Unfinished embedding sets: written shard by shard, by one process or several."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hypestore.embeddings.files import (
    EmbeddingSpec,
    check_ids,
    check_vectors,
    refuse_repeated,
    text_name,
    vector_name,
    write_texts,
)
from hypestore.embeddings.pieces import Pieces, ShardNote, documents_sha256
from hypestore.embeddings.vector_file import VectorFile, write_vector_file
from hypestore.errors import DamagedArtifact, IncompleteWork, InvalidContent, StoreError
from hypestore.files import sync_folder, writing_in
from hypestore.manifest import Manifest
from hypestore.tables import read_table
from hypestore.work.locks import SHORT_WAIT_SECONDS, hold
from hypestore.work.work import ArtifactDraft, WriteContext

_LOG = logging.getLogger("hypestore")


class EmbeddingWork:
    """An unfinished embedding set. Use it as a context manager.

    Several processes can write one set at once: each holds a part ``(i, N)``, i from 1 to N, and
    writes its own shards. The caller decides which shards belong to a part. Without a part, one
    process holds the whole set.

    Attributes:
        id: The id of the set.
        dim: Width of the vectors.
        path: Its folder.
        existing: The manifest if the set is finished, else None.
    """

    def __init__(
        self,
        context: WriteContext,
        spec: EmbeddingSpec,
        *,
        name: str | None = None,
        part: tuple[int, int] | None = None,
        wait_seconds: float = 0.0,
    ) -> None:
        record = spec.plan(name=name)
        self._context = context
        self._draft = ArtifactDraft(context, record)
        self._spec = spec
        self._part = _check_part(part)
        self._wait_seconds = wait_seconds
        self._locks = contextlib.ExitStack()
        self._whole: set[int] = set()
        self.id = record.id
        self.dim = spec.dim
        self.path = self._draft.path
        self._pieces = Pieces(self.path, spec.dim)
        self.existing: Manifest | None = None

    def __enter__(self) -> Self:
        self.existing, self._locks = self._draft.entered(self._take_locks, alone=self._part is None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._locks.close()
        self._draft.refuse_full_disk(error)

    def require_space(self, needed_bytes: int) -> None:
        """Refuse work that needs more space than the disk has.

        Raises:
            DiskFull: Less is free; the message has both numbers.
        """
        self._draft.require_space(needed_bytes)

    def shard_bytes(self, shard: int) -> int:
        """Size in bytes of the files of a written shard."""
        names = [vector_name(shard), *([text_name(shard)] if self._spec.keep_text else [])]
        return sum((self.path / name).stat().st_size for name in names)

    def has_shard(self, shard: int, documents: str | None = None) -> bool:
        """Whether a shard is written and undamaged, with its texts if the set keeps text.

        A shard of an earlier process is read once; a damaged one counts as not written.

        Args:
            shard: Number of the shard.
            documents: ``documents_sha256`` of its documents. A shard that was made of other
                documents, or of unknown ones, counts as not written. None compares nothing.
        """
        if shard not in self._whole and self.is_written(shard) and self._is_whole(shard):
            self._whole.add(shard)
        return shard in self._whole and (documents is None or self._is_of(shard, documents))

    def note(self, shard: int) -> ShardNote | None:
        """The note that ``write_shard`` wrote on a shard; None if there is none."""
        return self._pieces.note(shard)

    def missing(self, n_shards: int) -> list[int]:
        """Numbers of the shards, from 0 to ``n_shards - 1``, that are not written yet."""
        return [shard for shard in range(n_shards) if not self.is_written(shard)]

    @property
    def has_shards(self) -> bool:
        """Whether any shard is written."""
        return any(self.path.glob("vectors-*.parquet"))

    @property
    def is_shared(self) -> bool:
        """Whether this is one of several parts, so that other processes may write too."""
        return self._part is not None

    def is_written(self, shard: int) -> bool:
        """Whether the files of a shard exist, whole or not."""
        text = not self._spec.keep_text or (self.path / text_name(shard)).is_file()
        return text and (self.path / vector_name(shard)).is_file()

    def _is_of(self, shard: int, documents: str) -> bool:
        """Whether a shard was made of these documents."""
        note = self._pieces.note(shard)
        if note is not None:
            return note.documents_sha256 == documents
        if not self._spec.keep_text:
            return False  # made by a version that wrote no notes
        texts = read_table(self.path / text_name(shard))
        pairs = zip(texts["doc_id"].to_pylist(), texts["text"].to_pylist(), strict=True)
        return documents_sha256(pairs) == documents

    def _is_whole(self, shard: int) -> bool:
        try:
            file = VectorFile(self.path / vector_name(shard), dim=self._spec.dim)
            file.check()
            if self._spec.keep_text:
                texts = read_table(self.path / text_name(shard))
                return bool(texts["doc_id"].combine_chunks().equals(file.doc_ids))
        except (DamagedArtifact, KeyError) as error:
            _LOG.warning("shard %d is written again: %s", shard, error)
            return False
        return True

    def missing_rows(self, n_documents: int, shards: Collection[int] | None = None) -> int:
        """How many documents of these shards (of all by default) are not written yet."""
        size = self._spec.shard_rows
        missing = self.missing(-(-n_documents // size))
        return sum(
            min(size, n_documents - shard * size)
            for shard in missing
            if shards is None or shard in shards
        )

    def write_shard(
        self,
        shard: int,
        doc_ids: Sequence[str],
        vectors: np.ndarray[Any, Any],
        texts: Sequence[str] | None = None,
        *,
        note: ShardNote | None = None,
    ) -> None:
        """Write one shard atomically; an existing shard is replaced, and its pieces are deleted.

        Args:
            shard: Number of the shard, from 0.
            doc_ids: One unique id per row.
            vectors: [n, d], converted to the dtype of the set.
            texts: One text per row if the set keeps text, else None.
            note: What is known about the documents, for commands that go on later.

        Raises:
            InvalidContent: Sizes differ, a value is NaN, infinite or beyond float16, or an id is
                empty or repeated; the message names the document.
            StoreError: The set is finished.
        """
        if self._draft.existing() is not None:
            raise StoreError(
                f"The embedding set {self.id} is finished; it does not change any more."
            )
        where = f"shard {shard} of {self.id}"
        ids = check_ids(doc_ids, where)
        ready = check_vectors(vectors, ids, self._spec, where)
        if (texts is not None) != self._spec.keep_text or (texts and len(texts) != len(ids)):
            texts_given = "no texts" if texts is None else f"{len(texts)} texts"
            wanted = len(ids) if self._spec.keep_text else "none"
            raise InvalidContent(f"{where}: got {texts_given}, expected {wanted}.")
        if note is not None and note != self._pieces.note(shard):
            with writing_in(self.path):
                # The old vectors go first: a note never stands beside vectors of other documents.
                self._unlink_shard(shard)
                sync_folder(self.path)
                self._pieces.write_note(shard, note)
        if texts is not None:
            write_texts(self.path / text_name(shard), ids, texts)
        write_vector_file(self.path / vector_name(shard), ids, ready)
        self._whole.add(shard)
        self._pieces.remove(shard)

    def write_piece(
        self, shard: int, documents: str, rows: list[int], vectors: np.ndarray[Any, Any]
    ) -> None:
        """Keep some vectors of a shard that is not complete yet.

        Args:
            shard: Number of the shard, from 0.
            documents: ``documents_sha256`` of all documents of the shard.
            rows: Numbers of the rows in the shard, from 0.
            vectors: Their vectors [n, d], float32.
        """
        with writing_in(self.path):
            self._pieces.write(shard, documents, rows, vectors)

    def pieces(
        self, shard: int, documents: str, n: int
    ) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Rows [m] and vectors [m, d] that were kept of a shard with ``n`` such documents."""
        return self._pieces.read(shard, documents, n)

    def drop_shard(self, shard: int) -> None:
        """Delete a shard, its note and its pieces."""
        with writing_in(self.path):
            self._unlink_shard(shard)
            self._pieces.remove(shard)

    def _unlink_shard(self, shard: int) -> None:
        self._whole.discard(shard)
        (self.path / vector_name(shard)).unlink(missing_ok=True)
        self._pieces.remove_note(shard)

    def finish(
        self,
        n_documents: int,
        *,
        stats: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        documents: Sequence[str] | None = None,
    ) -> Manifest:
        """Check that all shards are complete, then write the manifest.

        Of several processes the first writes the manifest, and the others return it.

        Args:
            n_documents: Documents of the whole set.
            stats: Results; ``n_documents``, ``dim``, ``bytes`` and ``shard_rows`` are added.
            provenance: How the set was made: versions, hardware.
            documents: ``documents_sha256`` of each shard, which all shards must have.

        Returns:
            The manifest.

        Raises:
            IncompleteWork: Shards are missing, damaged, made of other documents, or have too few
                or too many rows.
            InvalidContent: A document id occurs twice; the message names it.
        """
        if self.existing is not None:
            return self.existing
        lock = self._context.layout.lock(f"{self.id}.finish")
        what = f"The finish of {self.id}"
        with hold(lock, what=what, wait_seconds=max(self._wait_seconds, SHORT_WAIT_SECONDS)):
            first = self._draft.existing()
            if first is None:
                self._check_shards(n_documents)
                self._check_documents(documents or ())
                bytes_each = self._spec.dim * np.dtype(self._spec.dtype).itemsize
                totals = {
                    "n_documents": n_documents,
                    "dim": self._spec.dim,
                    "bytes": n_documents * bytes_each,
                    "shard_rows": self._spec.shard_rows,
                }
                first = self._draft.seal(
                    stats={**(stats or {}), **totals}, provenance=provenance or {}
                )
        self.existing = first
        return first

    def discard(self) -> None:
        """Delete all shards of the unfinished set, those of other parts too."""
        self._draft.discard()

    def _take_locks(self, stack: contextlib.ExitStack) -> None:
        """Take the own lock, then try the others: the second of two processes sees the first."""
        layout = self._context.layout
        what = f"The embedding set {self.id}"
        if self._part is None:
            stack.enter_context(
                hold(layout.lock(self.id), what=what, wait_seconds=self._wait_seconds)
            )
            others = sorted(layout.locks.glob(f"{self.id}.part-*.lock"))
        else:
            index, count = self._part
            lock = layout.lock(f"{self.id}.part-{index}-of-{count}")
            what_part = f"Part {index} of {count} of {self.id}"
            stack.enter_context(hold(lock, what=what_part, wait_seconds=self._wait_seconds))
            others = [layout.lock(self.id)]
        for other in others:
            # Wait at least a second: several parts may try the same lock at one moment.
            with hold(other, what=what, wait_seconds=max(self._wait_seconds, 1.0)):
                pass

    def _check_shards(self, n_documents: int) -> None:
        rows = self._spec.shard_rows
        n_shards = math.ceil(n_documents / rows)
        missing = self.missing(n_shards)
        if missing:
            shown = ", ".join(str(shard) for shard in missing[:10])
            more = ", …" if len(missing) > 10 else ""
            raise IncompleteWork(
                f"{len(missing)} of {n_shards} shards of {self.id} are missing: {shown}{more}.",
                hint="Run the same command again (each part of it) to write them.",
            )
        beyond = sorted(path.name for path in self.path.glob("vectors-*.parquet"))[n_shards:]
        if beyond:
            raise IncompleteWork(
                f"{self.id} has {n_shards} shards for {n_documents} documents, "
                f"and also {beyond[0]}.",
                hint="Clear it with `hype doctor --clean` and run the command again.",
            )
        ids = []
        for shard in range(n_shards):
            expected = min(rows, n_documents - shard * rows)
            ids.append(self._shard_ids(shard, expected))
        refuse_repeated(ids, self.id)

    def _check_documents(self, documents: Sequence[str]) -> None:
        """Refuse shards of other documents, such as those of a file that was changed meanwhile."""
        for shard, expected in enumerate(documents):
            if not self._is_of(shard, expected):
                raise IncompleteWork(
                    f"Shard {shard} of {self.id} was made of other documents than this command "
                    "has read: the corpus was changed in between.",
                    hint="Run the same command again (this part of it) to write it anew.",
                )

    def _shard_ids(self, shard: int, expected: int) -> pa.StringArray:
        """The document ids of a shard, after its vectors and texts were counted."""
        if not self.has_shard(shard):
            raise IncompleteWork(
                f"Shard {shard} of {self.id} is damaged.",
                hint="Run the same command again (this part of it) to write it anew.",
            )
        file = VectorFile(self.path / vector_name(shard), dim=self._spec.dim)
        counts = [file.n]
        if self._spec.keep_text:
            counts.append(pq.read_metadata(self.path / text_name(shard)).num_rows)
        if any(count != expected for count in counts):
            raise IncompleteWork(
                f"Shard {shard} of {self.id} has {counts[0]} vectors"
                + (f" and {counts[1]} texts" if self._spec.keep_text else "")
                + f", expected {expected}.",
                hint=f"Delete {file.path} and run the command again.",
            )
        return file.doc_ids


def _check_part(part: tuple[int, int] | None) -> tuple[int, int] | None:
    if part is not None and not 1 <= part[0] <= part[1]:
        raise InvalidContent(f"There is no part {part[0]} of {part[1]}; parts count from 1 to N.")
    return part
