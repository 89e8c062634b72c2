"""One Parquet file of vectors, written so that its values can be memory-mapped.

``store/FORMAT.md``, section 4, specifies the layout, and the checks before a file is mapped. A
file that fails a check is decoded by pyarrow.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hypestore.embeddings.page_header import read_data_page
from hypestore.errors import DamagedArtifact, refuse_open_limit
from hypestore.files import atomic_path, refuse_link
from hypestore.footer import refuse_odd_footer
from hypestore.tables import refuse_bomb, string_array

ROW_GROUP_ROWS = 16_384
"""Rows of a row group; below pyarrow's limit of 20,000 rows per page, so that it is one page."""

_BATCH_ROWS = 16_384
_NO_LIMIT = 2**30
_DTYPES: dict[str, np.dtype[Any]] = {"halffloat": np.dtype("<f2"), "float": np.dtype("<f4")}


def write_vector_file(path: Path, doc_ids: Sequence[str], vectors: np.ndarray[Any, Any]) -> None:
    """Write ``vectors`` [n, d] (finite float16 or float32) and their ids atomically."""
    dim = vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    element = pa.field("element", flat.type, nullable=False)
    column = pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(element, dim))
    schema = pa.schema(
        [
            pa.field("vector", column.type, nullable=False),
            pa.field("doc_id", pa.string(), nullable=False),
        ]
    )
    table = pa.table([column, string_array(doc_ids, "document ids")], schema=schema)
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            row_group_size=ROW_GROUP_ROWS,
            use_dictionary=False,
            compression={"vector": "none", "doc_id": "zstd"},
            write_statistics=["doc_id"],
            data_page_size=2**31 - 1,
            write_batch_size=_NO_LIMIT,
            write_page_checksum=True,
        )


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One row group of a vector file.

    Attributes:
        index: Its number, from 0.
        first_row: Number of its first row in the file.
        rows: How many rows it has.
        offset: Position of its values in the file in bytes; None if they must be decoded.
    """

    index: int
    first_row: int
    rows: int
    offset: int | None


def parts(
    places: np.ndarray[Any, Any], firsts: Sequence[int]
) -> Iterator[tuple[int, slice | np.ndarray[Any, Any]]]:
    """Group ``places`` [n] by parts of a sequence; part i begins at ``firsts[i]``.

    Yields:
        Index of a part, and which of ``places`` lie in it: a slice if ``places`` rise, else an
        array of indexes. Parts without a place are left out.
    """
    order = None if bool((places[1:] >= places[:-1]).all()) else np.argsort(places, kind="stable")
    rising = places if order is None else places[order]
    bounds = [*np.searchsorted(rising, firsts).tolist(), len(places)]
    for index, (start, stop) in enumerate(pairwise(bounds)):
        if stop > start:
            yield index, slice(start, stop) if order is None else order[start:stop]


class VectorFile:
    """A Parquet file with columns ``vector`` (lists of one length) and ``doc_id``.

    Args:
        path: The file.
        dim: Expected width; required for a file with plain lists, which do not state it.

    Raises:
        DamagedArtifact: The file is a link, is not Parquet, or lacks these columns.
    """

    def __init__(self, path: Path, *, dim: int | None = None) -> None:
        self.path = path
        refuse_link(path)
        try:
            with path.open("rb") as stream:
                parquet = pq.ParquetFile(stream)
                self._metadata = parquet.metadata
                schema = parquet.schema_arrow
                self._plan_type(schema, dim)
                refuse_odd_footer(path, self._metadata)
                self.row_groups = self._plan(stream.fileno())
        except FileNotFoundError:
            raise DamagedArtifact(f"{path} is missing.", hint="hype doctor") from None
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            refuse_open_limit(error)
            raise self.damaged(str(error)) from error
        self.n: int = self._metadata.num_rows
        self._kept: dict[int, np.ndarray[Any, Any]] = {}

    @property
    def in_place(self) -> bool:
        """Whether every row group can be memory-mapped."""
        return all(group.offset is not None for group in self.row_groups)

    @cached_property
    def doc_ids(self) -> pa.StringArray:
        """The ids of all rows, read on first use and kept."""
        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True) as parquet:
                refuse_bomb(self.path, parquet.metadata, columns=("doc_id",))
                column = parquet.read(columns=["doc_id"], use_threads=False)["doc_id"]
                column.validate(full=True)  # strings may be no UTF-8
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            refuse_open_limit(error)
            raise self.damaged(str(error)) from error
        # A cast imports pyarrow.compute, which takes longer than many a search.
        ids = (column if column.type == pa.string() else column.cast(pa.string())).combine_chunks()
        if ids.null_count or len(ids) != self.n:
            raise self.damaged(f"{len(ids)} doc_ids, {ids.null_count} of them null, for {self.n}")
        return ids

    def blocks(self) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """Pairs ``(first_row, vectors [n, d])`` that cover the file in order.

        A mapped block is a read-only view of its own memory map, which closes with the view. It
        is not aligned to its item size: copy it into a buffer for arithmetic.

        Raises:
            DamagedArtifact: There are nulls or lists of another length, or a checksum fails.
        """
        for group in self.row_groups:
            if group.offset is None:
                yield from self._decode(group)
            else:
                yield group.first_row, self.map(group)

    def check(self) -> None:
        """Read every value and id, and compare their checksums.

        Raises:
            DamagedArtifact: A checksum fails.
        """
        for group in self.row_groups:
            for _ in self._decode(group):
                pass
        _ = self.doc_ids

    def map(self, group: RowGroup) -> np.ndarray[Any, Any]:
        """The vectors [n, d] of a row group as a read-only view of the file.

        Raises:
            DamagedArtifact: The row group cannot be mapped.
        """
        if group.offset is None:
            raise self.damaged(f"row group {group.index} cannot be mapped")
        page = group.offset - group.offset % mmap.ALLOCATIONGRANULARITY
        shift = group.offset - page
        length = shift + group.rows * self.dim * self.dtype.itemsize
        try:
            with self.path.open("rb") as stream:
                mapped = mmap.mmap(stream.fileno(), length, access=mmap.ACCESS_READ, offset=page)
        except (OSError, ValueError) as error:
            refuse_open_limit(error)
            raise self.damaged(str(error)) from error
        flat = np.frombuffer(mapped, self.dtype, group.rows * self.dim, shift)
        return flat.reshape(group.rows, self.dim)

    def take(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Copies [n, d] of the vectors at ``rows`` [n], in that order; fastest if rows rise."""
        taken = np.empty((len(rows), self.dim), self.dtype)
        for index, places in parts(rows, [group.first_row for group in self.row_groups]):
            group = self.row_groups[index]
            taken[places] = self.take_from(group, rows[places] - group.first_row)
        return taken

    def take_from(self, group: RowGroup, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Copies [n, d] of the vectors at ``rows`` [n] of one row group, counted from its first."""
        taken: np.ndarray[Any, Any]
        if group.offset is None:
            taken = np.concatenate([block for _, block in self._decode(group)])[rows]
        else:
            # Taken as bytes: NumPy would first copy all of an array that is not aligned.
            taken = np.take(self._bytes(group), rows, axis=0).view(self.dtype)
        return taken

    def _bytes(self, group: RowGroup) -> np.ndarray[Any, Any]:
        """The rows of a group as bytes [n, d * itemsize]; the memory map is kept open.

        An open map takes address space, not memory: its pages belong to the file cache.
        """
        if group.index not in self._kept:
            self._kept[group.index] = self.map(group).view(np.uint8)
        return self._kept[group.index]

    def damaged(self, problem: str) -> DamagedArtifact:
        """The error to raise about this file."""
        return DamagedArtifact(f"{self.path}: {problem}.", hint="hype doctor --checksums")

    def _plan_type(self, schema: pa.Schema, dim: int | None) -> None:
        if "vector" not in schema.names or "doc_id" not in schema.names:
            raise self.damaged(f"expected columns vector and doc_id, found {schema.names}")
        column = schema.field("vector").type
        self._fixed = pa.types.is_fixed_size_list(column)
        if not (self._fixed or pa.types.is_list(column) or pa.types.is_large_list(column)):
            raise self.damaged(f"expected lists of floats in vector, found {column}")
        dtype: np.dtype[Any] | None = _DTYPES.get(str(column.value_type))
        if dtype is None:
            raise self.damaged(f"expected float16 or float32 in vector, found {column.value_type}")
        width = column.list_size if self._fixed else dim
        if width is None or (dim is not None and width != dim):
            raise self.damaged(f"expected vectors of {dim or 'a fixed'} values, found {column}")
        self.dim: int = width
        self.dtype = dtype

    def _plan(self, descriptor: int) -> tuple[RowGroup, ...]:
        groups: list[RowGroup] = []
        first_row = 0
        column = self._vector_column()
        with (
            mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as content,
        ):
            for index in range(self._metadata.num_row_groups):
                rows = self._metadata.row_group(index).num_rows
                offset = None
                if rows and self._fixed and column is not None and sys.byteorder == "little":
                    offset = self._values_offset(content, index, column)
                groups.append(RowGroup(index, first_row, rows, offset))
                first_row += rows
        return tuple(groups)

    def _vector_column(self) -> int | None:
        """Index of the leaf column below ``vector``; None if there are several."""
        schema = self._metadata.schema
        paths = [schema.column(i).path.split(".")[0] for i in range(len(schema))]
        return paths.index("vector") if paths.count("vector") == 1 else None

    def _values_offset(self, content: memoryview, index: int, column: int) -> int | None:
        """Position of the values of a row group in bytes; None if they cannot be mapped."""
        group = self._metadata.row_group(index)
        chunk = group.column(column)
        count = group.num_rows * self.dim
        if (
            chunk.compression != "UNCOMPRESSED"
            or chunk.has_dictionary_page
            or chunk.num_values != count
        ):
            return None
        start, length = chunk.data_page_offset, chunk.total_compressed_size
        leaf = self._metadata.schema.column(column)
        with content[start : start + length] as page_and_header:
            page = read_data_page(
                page_and_header,
                repetition_levels=leaf.max_repetition_level > 0,
                definition_levels=leaf.max_definition_level > 0,
            )
        value_bytes = count * self.dtype.itemsize
        if (
            page is None
            or page.num_values != count
            or page.header_bytes + page.page_bytes != length
            or page.page_bytes - page.level_bytes != value_bytes
        ):
            return None
        return int(start + length - value_bytes)

    def _decode(self, group: RowGroup) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """Decode a row group with pyarrow, batch by batch."""
        first = group.first_row
        column = self._vector_column()
        if column is not None:
            values = self._metadata.row_group(group.index).column(column).num_values
            if values > group.rows * self.dim:
                raise self.damaged(f"row group {group.index} has {values} values")
        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True) as parquet:
                for batch in parquet.iter_batches(
                    _BATCH_ROWS, row_groups=[group.index], columns=["vector"], use_threads=False
                ):
                    yield first, self._to_numpy(batch.column(0))
                    first += len(batch)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            refuse_open_limit(error)
            raise self.damaged(str(error)) from error
        offset = first - group.first_row
        if offset != group.rows:  # a damaged page header makes pyarrow end early, without an error
            raise self.damaged(f"row group {group.index} has {offset} rows, expected {group.rows}")

    def _to_numpy(self, lists: pa.Array) -> np.ndarray[Any, Any]:
        import pyarrow.compute as pc

        lengths = pc.list_value_length(lists)
        if lists.null_count or pc.any(pc.not_equal(lengths, self.dim)).as_py():
            raise self.damaged(f"a vector is null or has not {self.dim} values")
        values = lists.flatten()
        if values.null_count:
            raise self.damaged("a value of a vector is null")
        flat: np.ndarray[Any, Any] = values.to_numpy(zero_copy_only=False)
        return flat.reshape(len(lists), self.dim)
