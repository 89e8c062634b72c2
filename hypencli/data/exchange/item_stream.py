"""Encoded items in the published format, a DocArray stream, read and written without DocArray.

The stream has no header. Each item is its length (4 bytes, big-endian) and that many bytes of gzip;
a length of 0 ends it. An item is a ``DocProto``, ``map<string, NodeProto> data = 1``, with the keys
``id`` and ``text`` (``NodeProto.text = 1``) and ``representation`` (``NodeProto.ndarray = 6``, in
it ``dense = 1`` of ``buffer = 1``, ``shape = 2``, ``dtype = 3``).

Sizes are untrusted: each is compared with its limit and with the remaining bytes before memory is
allocated.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hypencli.data.exchange.content_hash import OnBytes
from hypencli.data.exchange.item import MAX_DIM, EncodedBlock, EncodedItem
from hypencli.data.exchange.protobuf import Field, encode_field, encode_varint, fields, varint
from hypencli.errors import DataError

if TYPE_CHECKING:
    from hypencli.data.exchange.item import Vector

MAX_RECORD_BYTES = 64 * 2**20
"""Maximum size of a compressed item; a longer one is refused before it is read."""

MAX_ITEM_BYTES = 256 * 2**20
"""Maximum size of an uncompressed item; decompression stops at it."""

DTYPES = ("<f2", "<f4", "<f8")
"""Accepted element types; the published code writes ``<f4``."""

_KEYS = ("id", "text", "representation")
_GZIP = 31
_LAYOUT = "Expected: a stream of encoded items (.docs), as the published code writes it."


def read_item_stream(path: Path, on_bytes: OnBytes | None = None) -> Iterator[EncodedItem]:
    """Read the items of a stream, one at a time; memory holds only one item.

    Args:
        path: The file.
        on_bytes: Takes all bytes of the file, those of an item before it is returned.

    Raises:
        DataError: The file cannot be read, is truncated, or has bytes behind its end; or an item is
            too large, damaged, in another format, or of another width than the first. The message
            names the byte at which the item begins.
    """
    try:
        with path.open("rb") as stream:
            size, width = path.stat().st_size, None
            for where, record in _records(stream, size, str(path), on_bytes):
                item = _item(_unpacked(record, where), where)
                width = width or len(item.vector)
                if len(item.vector) != width:
                    raise DataError(
                        f"{where}: item {item.doc_id!r} has a vector of {len(item.vector)} values, "
                        f"the first one had {width}."
                    )
                yield item
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if width is None:
        raise DataError(f"{path}: no items in it.", hint=_LAYOUT)


def read_blocks(path: Path, size: int, on_bytes: OnBytes | None = None) -> Iterator[EncodedBlock]:
    """Read the items of a stream in blocks of ``size``; memory holds one block.

    Args:
        path: The file.
        size: Items of a block.
        on_bytes: Takes all bytes of the file, those of a block before it is returned.

    Raises:
        DataError: As :func:`read_item_stream`.
    """
    import numpy as np

    items = read_item_stream(path, on_bytes)
    while block := list(islice(items, size)):
        vectors = np.stack([item.vector for item in block])
        texts = [item.text or "" for item in block]
        yield EncodedBlock([item.doc_id for item in block], vectors, texts)


def _records(
    stream: BinaryIO, size: int, name: str, on_bytes: OnBytes | None
) -> Iterator[tuple[str, bytes]]:
    """The compressed items, each with its place for messages."""
    offset = 0
    while True:
        where = f"{name}, byte {offset}"
        left = size - offset - 4
        if left < 0:
            raise DataError(
                f"{where}: the file ends here, and not with a length of 0 as it should.",
                hint="It was cut short, or is still being written: copy it again.",
            )
        prefix = stream.read(4)
        (length,) = struct.unpack(">I", prefix)
        if length == 0:
            break
        if length > MAX_RECORD_BYTES:
            raise DataError(
                f"{where}: an item of {length:,} bytes, {MAX_RECORD_BYTES:,} at most are read.",
                hint=_LAYOUT,
            )
        if length > left:
            raise DataError(
                f"{where}: an item of {length:,} bytes where {left:,} are left.",
                hint="The file was cut short, or is still being written: copy it again.",
            )
        record = stream.read(length)
        if on_bytes is not None:
            on_bytes(prefix + record)
        yield where, record
        offset += 4 + length
    if on_bytes is not None:
        on_bytes(prefix)
    if left:
        raise DataError(f"{name}, byte {offset + 4}: {left:,} more bytes behind the end.")


def _unpacked(record: bytes, where: str) -> memoryview:
    """Decompress one item."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        content = unpacker.decompress(record, MAX_ITEM_BYTES)
    except zlib.error as error:
        raise DataError(f"{where}: damaged gzip data ({error}).", hint=_LAYOUT) from error
    if unpacker.unconsumed_tail or len(content) == MAX_ITEM_BYTES:
        raise DataError(f"{where}: an item that unpacks to {MAX_ITEM_BYTES:,} bytes or more.")
    if not unpacker.eof:
        raise DataError(f"{where}: the gzip data of the item is cut short.")
    if unpacker.unused_data:
        raise DataError(
            f"{where}: {len(unpacker.unused_data):,} more bytes behind the item's gzip data."
        )
    return memoryview(content)


def _item(content: memoryview, where: str) -> EncodedItem:
    nodes = _nodes(content, where)
    missing = [key for key in _KEYS if key not in nodes]
    if missing:
        raise DataError(f"{where}: an item without {' and '.join(map(repr, missing))}.")
    doc_id = _only(nodes["id"], 1, "'id' is no text").text()
    if not doc_id:
        raise DataError(f"{where}: an item with an empty id.")
    array = _only(nodes["representation"], 6, "'representation' is no array")
    return EncodedItem(
        doc_id=doc_id,
        vector=_vector(_only(array, 1, "'representation' is no dense array")),
        text=_only(nodes["text"], 1, "'text' is no text").text(),
    )


def _nodes(content: memoryview, where: str) -> dict[str, Field]:
    """The map ``data``: key -> field with the node."""
    nodes: dict[str, Field] = {}
    for field in fields(content, where):
        if field.number != 1:
            continue
        key = _only(field, 1, "an entry without a key").text()
        if key in nodes:
            raise DataError(f"{field.where}: {key!r} is there twice.")
        nodes[key] = _only(field, 2, f"the entry {key!r} has no value")
    return nodes


def _only(message: Field, number: int, problem: str) -> Field:
    """The only field with this number in a message."""
    matches = [field for field in message.fields() if field.number == number]
    if len(matches) != 1:
        raise DataError(f"{message.where}: {problem}.")
    return matches[0]


def _vector(array: Field) -> Vector:
    """The values of a dense array, after a check of its type, shape and length."""
    import numpy as np

    dtype = _only(array, 3, "an array without a type").text()
    if dtype not in DTYPES:
        raise DataError(
            f"{array.where}: an array of type {dtype!r:.40}.", hint=f"Read: {', '.join(DTYPES)}"
        )
    buffer = _only(array, 1, "an array without values").bytes()
    shape = _shape(array)
    if len(shape) != 1 or not 0 < shape[0] <= MAX_DIM:
        raise DataError(
            f"{array.where}: an array of shape {shape}, expected one vector of 1 to {MAX_DIM:,}."
        )
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    if len(buffer) != expected:
        raise DataError(
            f"{array.where}: {len(buffer):,} bytes of values, expected {expected:,} for "
            f"shape {shape} of {dtype}."
        )
    return np.frombuffer(buffer, dtype=dtype)


def _shape(array: Field) -> list[int]:
    """The axes of an array, from one packed field or from one field for each."""
    axes: list[int] = []
    for field in array.fields():
        if field.number != 2:
            continue
        if isinstance(field.value, int):
            axes.append(field.value)
            continue
        place = 0
        while place < len(field.value):
            axis, place = varint(field.value, place, field.where)
            axes.append(axis)
    return axes


def write_item_stream(items: Iterable[EncodedItem], out: BinaryIO) -> int:
    """Write items in the published format with float32 vectors; return their number.

    Raises:
        DataError: An item has no text; the published code needs it.
    """
    count = 0
    for item in items:
        if item.text is None:
            raise DataError(f"Document {item.doc_id!r} has no text, which a .docs file needs.")
        record = gzip.compress(_message(item, item.text), mtime=0)
        out.write(struct.pack(">I", len(record)))
        out.write(record)
        count += 1
    out.write(struct.pack(">I", 0))
    return count


def _message(item: EncodedItem, text: str) -> bytes:
    nodes = {
        "id": encode_field(1, item.doc_id.encode()),
        "text": encode_field(1, text.encode()),
        "representation": _array_node(item.vector),
    }
    entries = (encode_field(1, key.encode()) + encode_field(2, node) for key, node in nodes.items())
    return b"".join(encode_field(1, entry) for entry in entries)


def _array_node(vector: Vector) -> bytes:
    shape = encode_field(2, encode_varint(len(vector)))
    buffer = encode_field(1, vector.astype("<f4").tobytes())
    dense = buffer + shape + encode_field(3, b"<f4")
    # DocArray reads a node as an array only if its last field names the kind.
    return encode_field(6, encode_field(1, dense)) + encode_field(13, b"ndarray")
