"""Encoded items as a NumPy array ``[n, d]`` and a file of ids."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import numpy as np

from hypencli.data.exchange.content_hash import OnBytes
from hypencli.data.exchange.item import MAX_DIM, EncodedBlock, EncodedItem
from hypencli.data.reading.lines import read_lines
from hypencli.data.reading.rows import Fields, format_of, plain_texts, read_rows
from hypencli.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

MAX_HEADER_BYTES = 65_536
"""Maximum length of a header; headers of numeric arrays have some hundred bytes."""

_NO_HEADER = (SyntaxError, TokenError, RecursionError, MemoryError)
"""Errors of Python's parser on text that is not Python, besides ``ValueError``."""

_CHUNK_BYTES = 2**24

KINDS = ("float16", "float32", "float64")
"""Accepted element types."""


def open_array(path: Path) -> Array:
    """Open a ``.npy`` file as a memory-mapped array ``[n, d]``.

    Raises:
        DataError: The file is no ``.npy`` file, holds objects, is truncated, has bytes behind its
            values, or is not two-dimensional with floating-point numbers.
    """
    try:
        _check_header_length(path)
        with warnings.catch_warnings():
            # Headers written by Python 2 cause a warning, and are read correctly.
            warnings.simplefilter("ignore", UserWarning)
            array = np.lib.format.open_memmap(path, mode="r")
        size = path.stat().st_size
    except (OSError, ValueError, TypeError, OverflowError) as error:
        problem = f"{error!s:.200}"
        raise DataError(f"{path}: not a NumPy array (.npy) that can be read: {problem}.") from error
    except _NO_HEADER as error:
        raise DataError(f"{path}: not a NumPy array (.npy): its header is no header.") from error
    if array.ndim != 2 or array.dtype.newbyteorder("=").name not in KINDS:
        raise DataError(
            f"{path}: an array of shape {array.shape} and type {array.dtype}, expected documents "
            f"by width, of {', '.join(KINDS)}."
        )
    if not 0 < array.shape[1] <= MAX_DIM or len(array) == 0:
        raise DataError(
            f"{path}: an array of shape {array.shape}, expected 1 document or more, "
            f"1 to {MAX_DIM:,} wide."
        )
    end = array.offset + array.nbytes
    if size != end:
        raise DataError(f"{path}, byte {end}: {size - end:,} more bytes behind the values.")
    return array


def _check_header_length(path: Path) -> None:
    """Refuse a header that is too long; NumPy would allocate its length before checking it.

    Raises:
        ValueError: The header is too long.
    """
    with path.open("rb") as stream:
        begin = stream.read(12)
    length = int.from_bytes(begin[8:10] if begin[6:7] == b"\x01" else begin[8:12], "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {length:,} bytes, {MAX_HEADER_BYTES:,} at most are read")


def ids_have_text(ids: Path) -> bool:
    """Whether a file of ids also has the texts of the documents, as a corpus in JSONL or TSV.

    Raises:
        DataError: The file cannot be read, or is empty.
    """
    for line in read_lines(ids):
        return format_of(str(ids), line.text) != "plain"
    raise DataError(f"{ids}: no ids in it.")


def read_array(
    path: Path, ids: Path, size: int, on_bytes: OnBytes | None = None
) -> Iterator[EncodedBlock]:
    """Read the rows of a ``.npy`` file with ids, and texts if any, from another file.

    Args:
        path: The array, ``[n, d]``.
        ids: A file with one id for each row, or a corpus (JSONL, TSV) with the same documents in
            the same order.
        size: Rows of a block.
        on_bytes: Takes all bytes of the array's file, those of a block before it is returned.

    Raises:
        DataError: A file is malformed, or the numbers of rows and ids differ.
    """
    mapped: Any = open_array(path)
    array: Array = mapped.view(np.ndarray)
    in_order = on_bytes is not None and array.flags.c_contiguous
    if on_bytes is not None and in_order:
        _pass_bytes(path, on_bytes, stop=mapped.offset)
    documents = _documents(ids)
    count = 0
    for start in range(0, len(array), size):
        # A copy: what is hashed is what is used, even if the file changes meanwhile.
        vectors = np.array(array[start : start + size])
        if on_bytes is not None and in_order:
            on_bytes(vectors.view(np.uint8).data.cast("B"))
        here = list(islice(documents, len(vectors)))
        count += len(here)
        if here:
            doc_ids, texts = (list(column) for column in zip(*here, strict=True))
            yield EncodedBlock(doc_ids, vectors[: len(here)], None if None in texts[:1] else texts)
    if on_bytes is not None and not in_order:  # the rows of the file are columns
        _pass_bytes(path, on_bytes, stop=path.stat().st_size)
    more = next(documents, None) is not None
    if more or count < len(array):
        raise DataError(
            f"{path} has {len(array):,} rows, and {ids} "
            + ("more ids." if more else f"{count:,} ids.")
        )


def _documents(ids: Path) -> Iterator[tuple[str, str | None]]:
    """Return id and text of each document of a file of ids."""
    if not ids_have_text(ids):
        return zip(plain_texts(ids), repeat(None))
    rows = read_rows(read_lines(ids), str(ids), Fields(), plain=True)
    return ((row.id, row.text) for row in rows)


def _pass_bytes(path: Path, on_bytes: OnBytes, *, stop: int) -> None:
    with path.open("rb") as stream:
        for start in range(0, stop, _CHUNK_BYTES):
            on_bytes(stream.read(min(_CHUNK_BYTES, stop - start)))


def write_array(
    items: Iterable[EncodedItem], out: BinaryIO, ids: TextIO, *, shape: tuple[int, int], dtype: str
) -> int:
    """Write items as a ``.npy`` file and their ids as lines; return their number.

    Args:
        items: ``n`` items.
        out: Stream for the array.
        ids: Stream for the ids.
        shape: Shape of the array, ``(n, d)``.
        dtype: ``float16`` or ``float32``.

    Raises:
        DataError: An id holds a line break, or only white space.
    """
    from numpy.lib import format as npy

    little = np.dtype(dtype).newbyteorder("<")
    header = {"descr": npy.dtype_to_descr(little), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(out, header)
    count = 0
    for item in items:
        if item.doc_id.splitlines() != [item.doc_id] or not item.doc_id.strip():
            raise DataError(
                f"The id {item.doc_id!r} cannot stand in a line of its own.",
                hint="Write a .docs file instead.",
            )
        out.write(item.vector.astype(little, copy=False).tobytes())
        ids.write(f"{item.doc_id}\n")
        count += 1
    return count
