"""What an interrupted command goes on from: a note on each written shard, and pieces of the next.

Both lie in the folder ``unfinished`` of the set (``store/FORMAT.md``, section 4.1), which is
removed when the set is finished.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hypestore.embeddings.vector_file import VectorFile, write_vector_file
from hypestore.errors import DamagedArtifact
from hypestore.files import atomic_write_text
from hypestore.layout import SCRATCH_NAME

_LOG = logging.getLogger("hypestore")


class ShardNote(BaseModel):
    """What is known about the documents of a shard.

    Attributes:
        documents_sha256: Hash of their ids and texts; see :func:`documents_sha256`.
        n_cut: How many texts were longer than the maximal length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    documents_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    n_cut: int = Field(ge=0)


def documents_sha256(documents: Iterable[tuple[str, str]]) -> str:
    """SHA-256 of documents in order: of id and text, each behind its length in bytes."""
    digest = hashlib.sha256()
    for document in documents:
        for part in document:
            encoded = part.encode("utf-8")
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
    return digest.hexdigest()


class Pieces:
    """Notes and pieces of the shards of one unfinished set.

    Args:
        folder: The folder of the set.
        dim: Width of the vectors.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self._folder = folder / SCRATCH_NAME
        self._dim = dim

    def note(self, shard: int) -> ShardNote | None:
        """The note on a shard; None if it is missing or malformed."""
        try:
            return ShardNote.model_validate_json(self._note_path(shard).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write_note(self, shard: int, note: ShardNote) -> None:
        """Write the note on a shard; an existing one is replaced."""
        self._folder.mkdir(exist_ok=True)
        atomic_write_text(self._note_path(shard), note.model_dump_json() + "\n")

    def write(
        self, shard: int, documents: str, rows: list[int], vectors: np.ndarray[Any, Any]
    ) -> None:
        """Write the vectors [n, d] of the rows [n] of a shard as a new piece.

        Args:
            shard: Number of the shard.
            documents: ``documents_sha256`` of all its documents.
            rows: Numbers of the rows in the shard, from 0.
            vectors: Their vectors, float32.
        """
        self._folder.mkdir(exist_ok=True)
        name = f"piece-{shard:05d}-{documents[:16]}-{secrets.token_hex(4)}.parquet"
        write_vector_file(self._folder / name, [str(row) for row in rows], vectors)

    def read(
        self, shard: int, documents: str, n: int
    ) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Rows [m] and vectors [m, d] of each undamaged piece of a shard with these documents.

        Args:
            shard: Number of the shard.
            documents: ``documents_sha256`` of all its documents.
            n: Number of its documents.
        """
        for path in sorted(self._folder.glob(f"piece-{shard:05d}-{documents[:16]}-*.parquet")):
            try:
                yield self._piece(path, n)
            except DamagedArtifact as error:
                _LOG.warning("a piece of shard %d is computed again: %s", shard, error)

    def remove(self, shard: int) -> None:
        """Delete the pieces of a shard."""
        for path in self._folder.glob(f"piece-{shard:05d}-*.parquet"):
            path.unlink(missing_ok=True)

    def remove_note(self, shard: int) -> None:
        """Delete the note on a shard."""
        self._note_path(shard).unlink(missing_ok=True)

    def _note_path(self, shard: int) -> Path:
        return self._folder / f"shard-{shard:05d}.json"

    def _piece(self, path: Path, n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        file = VectorFile(path, dim=self._dim)
        file.check()
        names = file.doc_ids.to_pylist()
        rows = [int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 10]
        if len(rows) < file.n or (rows and max(rows) >= n):
            raise file.damaged(f"a row is not one of the {n} of its shard")
        blocks = [block for _, block in file.blocks()]
        vectors = np.concatenate(blocks) if blocks else np.empty((0, self._dim), np.float32)
        return np.array(rows, dtype=np.int64), vectors
