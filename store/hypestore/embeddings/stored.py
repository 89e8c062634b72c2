"""Finished embedding sets: vectors are mapped in place, ids and texts are read when needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hypestore.embeddings.files import text_name, vector_name
from hypestore.embeddings.vector_file import RowGroup, VectorFile, parts
from hypestore.errors import DamagedArtifact, InvalidContent, TextNotKept, refuse_open_limit
from hypestore.files import refuse_link
from hypestore.manifest import Manifest
from hypestore.tables import int64_array, numbers_in, refuse_bomb, taken, utf8_array
from hypestore.verification import check_files


class Shard:
    """One shard of an embedding set; its file is opened on first use.

    Attributes:
        offset: Ordinal of its first document.
        n: Documents in it.
        path: Its vector file.
    """

    def __init__(self, path: Path, *, offset: int, n: int, dim: int, dtype: np.dtype[Any]) -> None:
        self.path = path
        self.offset = offset
        self.n = n
        self._dim = dim
        self._dtype = dtype

    @cached_property
    def file(self) -> VectorFile:
        """The vector file.

        Raises:
            DamagedArtifact: The file is missing or unreadable, or has another shape or dtype.
        """
        file = VectorFile(self.path, dim=self._dim)
        if file.n != self.n or file.dtype != self._dtype:
            raise file.damaged(
                f"holds {file.n} vectors of {file.dtype}, expected {self.n} of {self._dtype}"
            )
        return file

    @property
    def in_place(self) -> bool:
        """Whether all vectors of the shard are memory-mapped, without a copy."""
        return self.file.in_place

    @property
    def doc_ids(self) -> pa.StringArray:
        """The document ids of the shard, read on first use and kept."""
        return self.file.doc_ids

    def blocks(self) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """Pairs ``(ordinal of the first row, vectors [n, d])`` that cover the shard in order.

        Each block is a read-only view of a memory map, or a copy if the file cannot be mapped.
        Memory stays bounded by one block if the caller keeps none. Views are not aligned: copy
        them into a buffer for arithmetic, with ``numpy.copyto(buffer[:n], block)``, which also
        converts to float32.
        """
        for first_row, block in self.file.blocks():
            yield self.offset + first_row, block

    def vectors(self) -> np.ndarray[Any, Any]:
        """All vectors [n, d] of the shard: a view if it is one row group, else a copy."""
        blocks = [block for _, block in self.blocks()]
        if len(blocks) == 1:
            return blocks[0]
        return np.concatenate(blocks) if blocks else np.empty((0, self._dim), self._dtype)


class EmbeddingSet:
    """A finished embedding set. Opening it reads only the manifest and the file sizes.

    The *ordinal* of a document is its place in the set, from 0, shard after shard.

    >>> from tempfile import mkdtemp
    >>> import hypestore as hs
    >>> store = hs.Store.create(mkdtemp())
    >>> spec = hs.EmbeddingSpec(id_prefix="docs", inputs={"corpus": "docs"}, dim=2, shard_rows=2)
    >>> with store.embedding_work(spec, name="docs") as work:
    ...     work.write_shard(0, ["d0", "d1"], np.eye(2), ["a river", "a star"])
    ...     work.write_shard(1, ["d2"], np.ones((1, 2)), ["bread"])
    ...     manifest = work.finish(3)
    >>> documents = store.embeddings("docs")
    >>> documents.vectors([2, 0])
    array([[1., 1.],
           [1., 0.]], dtype=float16)
    >>> documents.ids([2, 0]), documents.texts([2])
    (['d2', 'd0'], ['bread'])
    >>> [(first, block.shape) for first, block in documents.blocks()]
    [(0, (2, 2)), (2, (1, 2))]

    Attributes:
        manifest: Its manifest.
        n: Documents.
        dim: Width of the vectors.
        dtype: Their NumPy type.
        shards: The shards in order.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.folder = folder
        self.n = manifest.stat_int("n_documents")
        self.dim = manifest.input_int("dim", at_least=1)
        self.dtype = _dtype_of(manifest)
        self._shard_rows = manifest.stat_int("shard_rows", at_least=1)
        _check_counts(manifest, self.n, self._shard_rows)
        check_files(folder, manifest)
        self.shards = tuple(
            Shard(
                folder / vector_name(index),
                offset=offset,
                n=min(self._shard_rows, self.n - offset),
                dim=self.dim,
                dtype=self.dtype,
            )
            for index, offset in enumerate(range(0, self.n, self._shard_rows))
        )

    @property
    def has_text(self) -> bool:
        """Whether the set stores the text of its documents."""
        return bool(self.manifest.inputs.get("keep_text"))

    def blocks(self) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """Pairs ``(ordinal of the first row, vectors [n, d])`` over all shards; see ``Shard``."""
        for shard in self.shards:
            yield from shard.blocks()

    def vectors(self, ordinals: Sequence[int] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Copies of the vectors [n, d] at ``ordinals`` [n], in that order.

        This is fastest if the ordinals rise. The first call opens the files of all shards, and
        those that can be mapped stay mapped.

        Raises:
            InvalidContent: An ordinal is outside of the set.
            DamagedArtifact: A file is missing, unreadable, or has another shape or dtype.
        """
        wanted = self._check_ordinals(ordinals)
        taken = np.empty((len(wanted), self.dim), self.dtype)
        firsts, groups = self._row_groups
        for index, places in parts(wanted, firsts):
            file, group = groups[index]
            taken[places] = file.take_from(group, wanted[places] - firsts[index])
        return taken

    @cached_property
    def _row_groups(self) -> tuple[list[int], list[tuple[VectorFile, RowGroup]]]:
        """Ordinal of the first document of each row group of all shards, and the row groups."""
        groups = [(shard, group) for shard in self.shards for group in shard.file.row_groups]
        firsts = [shard.offset + group.first_row for shard, group in groups]
        return firsts, [(shard.file, group) for shard, group in groups]

    def ids(self, ordinals: Sequence[int] | np.ndarray[Any, Any]) -> list[str]:
        """The document ids at ``ordinals`` [n], in that order.

        Raises:
            InvalidContent: An ordinal is outside of the set.
        """
        wanted = self._check_ordinals(ordinals)
        selected = np.empty(len(wanted), dtype=object)
        for shard, places, rows in self._by_shard(wanted):
            selected[places] = taken(self.shards[shard].doc_ids, rows)
        return list(selected)

    def texts(self, ordinals: Sequence[int] | np.ndarray[Any, Any]) -> list[str]:
        """The texts at ``ordinals`` [n], in that order; only their row groups are read.

        Raises:
            TextNotKept: The set was made without text.
            InvalidContent: An ordinal is outside of the set.
        """
        if not self.has_text:
            raise TextNotKept(
                f"The embedding set {self.manifest.id} was made without text.",
                hint="Encode the corpus again with its text kept to see documents.",
            )
        wanted = self._check_ordinals(ordinals)
        selected = np.empty(len(wanted), dtype=object)
        for shard, places, rows in self._by_shard(wanted):
            selected[places] = _read_texts(self.folder / text_name(shard), rows)
        return list(selected)

    def ordinals(self, doc_ids: Sequence[str]) -> np.ndarray[Any, Any]:
        """The ordinal [n] int64 of each document id, -1 where it is not in the set."""
        import pyarrow.compute as pc

        # The ids that are asked for are few, so the table is made of them, not of the shard.
        places = {doc_id: place for place, doc_id in enumerate(dict.fromkeys(doc_ids))}
        table = utf8_array(list(places))
        ordinals = np.full(len(places), -1, dtype=np.int64)
        for shard in self.shards:
            named = pc.index_in(shard.doc_ids, value_set=table)
            rows = pc.indices_nonzero(named.is_valid())
            ordinals[numbers_in(named.take(rows))] = shard.offset + numbers_in(rows)
        return ordinals[[places[doc_id] for doc_id in doc_ids]]

    def _check_ordinals(
        self, ordinals: Sequence[int] | np.ndarray[Any, Any]
    ) -> np.ndarray[Any, Any]:
        wanted = np.asarray(ordinals, dtype=np.int64).reshape(-1)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= self.n):
            outside = wanted[(wanted < 0) | (wanted >= self.n)]
            raise InvalidContent(
                f"There is no document {outside[0]} in {self.manifest.id}, which has {self.n}."
            )
        return wanted

    def _by_shard(
        self, ordinals: np.ndarray[Any, Any]
    ) -> Iterator[tuple[int, slice | np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Shard, places in ``ordinals``, rows in the shard: for each shard that is needed."""
        for index, places in parts(ordinals, [shard.offset for shard in self.shards]):
            yield index, places, ordinals[places] - self.shards[index].offset


def _dtype_of(manifest: Manifest) -> np.dtype[Any]:
    stored = manifest.inputs.get("storage_dtype")
    if stored not in ("float16", "float32"):
        raise DamagedArtifact(
            f"The manifest of {manifest.id} has inputs.storage_dtype = {stored!r}.",
            hint="hype doctor --checksums",
        )
    return np.dtype(str(stored))


def _check_counts(manifest: Manifest, n: int, shard_rows: int) -> None:
    """Check the numbers of a manifest against the files that it lists, before memory is taken.

    Raises:
        DamagedArtifact: The manifest lists too few files for its number of documents.
    """
    listed = {record.path for record in manifest.files}
    n_shards = -(-n // shard_rows)
    if n_shards > len(listed) or any(vector_name(i) not in listed for i in range(n_shards)):
        raise DamagedArtifact(
            f"The manifest of {manifest.id} has {n} documents in shards of {shard_rows}, and "
            f"lists {len(listed)} files, which do not hold that.",
            hint="hype doctor",
        )


def _read_texts(path: Path, rows: np.ndarray[Any, Any]) -> list[str]:
    refuse_link(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
            texts: dict[int, str] = {}
            first = 0
            for group in range(parquet.num_row_groups):
                count = parquet.metadata.row_group(group).num_rows
                here = np.unique(rows[(rows >= first) & (rows < first + count)])
                if len(here):
                    refuse_bomb(path, parquet.metadata, columns=("text",), groups=[group])
                    column = parquet.read_row_group(group, columns=["text"])["text"]
                    values = column.take(int64_array(here - first)).to_pylist()
                    texts.update(zip(here.tolist(), values, strict=True))
                first += count
        return [texts[row] for row in rows.tolist()]
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        refuse_open_limit(error)
        raise DamagedArtifact(f"{path}: {error}.", hint="hype doctor --checksums") from error
