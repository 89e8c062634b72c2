"""Streams of encoded items: what is read and written, and what is refused, byte by byte."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypencli.data.exchange import EncodedItem, item_stream, read_item_stream, write_item_stream
from hypencli.errors import DataError

Write = Callable[[bytes], Path]


def varint(value: int) -> bytes:
    head, rest = value & 0x7F, value >> 7
    return bytes([head]) if not rest else bytes([head | 0x80]) + varint(rest)


def part(number: int, value: bytes) -> bytes:
    return varint(number * 8 + 2) + varint(len(value)) + value


def entry(key: str, node: bytes) -> bytes:
    return part(1, part(1, key.encode()) + part(2, node))


def dense(buffer: bytes, shape: bytes = part(2, b"\x02"), dtype: bytes = b"<f4") -> bytes:
    return part(1, buffer) + shape + part(3, dtype)


def document(
    *,
    id: bytes = part(1, b"d0"),
    text: bytes = part(1, b"a text"),
    array: bytes | None = None,
    more: bytes = b"",
) -> bytes:
    values = np.array([0.5, -2], "<f4").tobytes()
    array = dense(values) if array is None else array
    node = part(6, part(1, array)) + part(13, b"ndarray")
    return entry("id", id) + entry("text", text) + entry("representation", node) + more


def stream(*records: bytes) -> bytes:
    packed = b"".join(struct.pack(">I", len(record)) + record for record in records)
    return packed + bytes(4)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(content: bytes) -> Path:
        path = tmp_path / "x.docs"
        path.write_bytes(content)
        return path

    return written


def read(path: Path) -> list[EncodedItem]:
    return list(read_item_stream(path))


items = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@given(items=items)
def test_items_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[str, str, list[float]]]
) -> None:
    path = tmp_path_factory.mktemp("stream") / "x.docs"
    given_items = [EncodedItem(a, np.array(v, np.float32), t) for a, t, v in items]
    with path.open("wb") as out:
        assert write_item_stream(given_items, out) == len(items)
    for actual, wanted in zip(read(path), given_items, strict=True):
        assert (actual.doc_id, actual.text) == (wanted.doc_id, wanted.text)
        np.testing.assert_array_equal(actual.vector, wanted.vector)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_element_types_and_axes_written_either_way(write: Write, dtype: str) -> None:
    values = np.array([0.5, -2], dtype).tobytes()
    for shape in (part(2, b"\x02"), b"\x10\x02"):  # packed, and as a number
        record = document(array=dense(values, shape, dtype.encode()))
        (item,) = read(write(stream(gzip.compress(record))))
        assert (item.vector.dtype.str, item.vector.tolist()) == (dtype, [0.5, -2.0])


def test_fields_that_nobody_knows_are_passed_over(write: Write) -> None:
    unknown = part(9, b"x") + b"\x50\x07" + b"\x5d1234" + b"\x6112345678"  # of all four kinds
    record = document(id=part(1, b"d0") + unknown, more=unknown + entry("more", unknown))
    (item,) = read(write(stream(gzip.compress(record))))
    assert item.doc_id == "d0"


GOOD = gzip.compress(document(), mtime=0)
LONG = 2**28

BROKEN: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", r"byte 0: the file ends here"),
    "no items": (bytes(4), r"no items in it"),
    "text file": (b'{"id": "a"}\n', r"byte 0: an item of 2,065,852,772 bytes, 67,108,864 at most"),
    "no end": (stream(GOOD)[:-4], rf"byte {len(GOOD) + 4}: the file ends here"),
    "half a length": (stream(GOOD)[:-1], rf"byte {len(GOOD) + 4}: the file ends here"),
    "cut in an item": (stream(GOOD)[:40], rf"byte 0: an item of {len(GOOD)} bytes where 36 are"),
    "bytes behind": (stream(GOOD) + b"abc", rf"byte {len(GOOD) + 8}: 3 more bytes behind the end"),
    "second item": (stream(GOOD, b"junk"), rf"byte {len(GOOD) + 4}: damaged gzip data"),
    "not gzip": (stream(document()), r"byte 0: damaged gzip data"),
    "gzip cut short": (stream(GOOD[:-3]), r"byte 0: the gzip data of the item is cut short"),
    "wrong checksum": (stream(GOOD[:-8] + bytes(8)), r"byte 0: damaged gzip data"),
    "behind the gzip": (stream(GOOD + b"ab"), r"byte 0: 2 more bytes behind the item's gzip"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_stream_is_refused_with_its_byte(case: str, write: Write) -> None:
    content, problem = BROKEN[case]
    path = write(content)
    with pytest.raises(DataError, match=rf"x\.docs.*{problem}"):
        read(path)


VALUES = np.array([0.5, -2], "<f4").tobytes()

WRONG: dict[str, tuple[bytes, str]] = {
    "cut short": (document()[:-3], r"byte \d+ of its content: a field of \d+ bytes where \d+"),
    "endless number": (b"\xff" * 11, r"byte 0 of its content: a number that does not end"),
    "group": (b"\x0b", r"byte 0 of its content: a field of the unknown kind 3"),
    "number for a map": (b"\x08\x07", r"field 1 is a number, expected bytes"),
    "no id": (document().replace(b"\x02id", b"\x02ix"), r"an item without 'id'"),
    "nothing": (b"", r"an item without 'id' and 'text' and 'representation'"),
    "id twice": (document(more=entry("id", part(1, b"d1"))), r"'id' is there twice"),
    "id empty": (document(id=part(1, b"")), r"an item with an empty id"),
    "id a number": (document(id=b"\x10\x07"), r"'id' is no text"),
    "not utf-8": (document(text=part(1, b"\xff")), r"byte \d+ of its content: .* is not UTF-8"),
    "objects": (document(array=dense(VALUES, dtype=b"|O")), r"an array of type '\|O'"),
    "big-endian": (document(array=dense(VALUES, dtype=b">f4")), r"an array of type '>f4'"),
    "integers": (document(array=dense(VALUES, dtype=b"<i4")), r"an array of type '<i4'"),
    "no shape": (document(array=dense(VALUES, shape=b"")), r"an array of shape \[\]"),
    "two axes": (document(array=dense(VALUES, part(2, b"\x01\x02"))), r"of shape \[1, 2\]"),
    "of length 0": (document(array=dense(b"", part(2, b"\x00"))), r"an array of shape \[0\]"),
    "vast": (document(array=dense(VALUES, part(2, varint(LONG)))), r"of shape \[268435456\]"),
    "too few values": (
        document(array=dense(VALUES[:-1])),
        r"byte \d+ of its content: 7 bytes of values, expected 8 for shape \[2\] of <f4",
    ),
    "too many values": (document(array=dense(VALUES * 2)), r"16 bytes of values, expected 8"),
    "no values": (document(array=part(2, b"\x02") + part(3, b"<f4")), r"an array without values"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_item_that_is_none_is_refused_with_its_place(case: str, write: Write) -> None:
    content, problem = WRONG[case]
    path = write(stream(GOOD, gzip.compress(content)))
    with pytest.raises(DataError, match=rf"x\.docs, byte {len(GOOD) + 4}\b.*{problem}"):
        read(path)


def test_vectors_of_another_width_are_refused(write: Write) -> None:
    other = document(id=part(1, b"d1"), array=dense(VALUES * 2, part(2, b"\x04")))
    path = write(stream(GOOD, gzip.compress(other)))
    with pytest.raises(DataError, match=r"'d1' has a vector of 4 values, the first one had 2"):
        read(path)


def test_a_bomb_is_refused_before_it_goes_off(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_stream, "MAX_ITEM_BYTES", 2**20)
    path = write(stream(gzip.compress(bytes(2**26))))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"byte 0: an item that unpacks to 1,048,576 bytes or more"):
        read(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 6 * 2**20


def test_a_length_that_is_not_there_takes_no_memory(write: Write) -> None:
    path = write(struct.pack(">I", item_stream.MAX_RECORD_BYTES) + b"x")
    tracemalloc.start()
    with pytest.raises(DataError, match=r"67,108,864 bytes where 1 are left"):
        read(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2**20


@settings(max_examples=300)
@given(place=st.integers(0, 200), value=st.integers(0, 255), packed=st.booleans())
def test_whatever_a_byte_becomes_only_data_errors_are_raised(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, packed: bool
) -> None:
    """One byte of the file, or of an item's content, is another one."""
    content = bytearray(stream(GOOD) if packed else document())
    content[place % len(content)] = value
    path = tmp_path_factory.mktemp("changed") / "x.docs"
    path.write_bytes(bytes(content) if packed else stream(gzip.compress(bytes(content))))
    try:
        (item,) = read(path)
    except DataError:
        return
    assert len(item.vector) == 2


def test_a_file_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.docs: cannot be read"):
        read(tmp_path / "none.docs")


def test_an_item_without_text_is_not_written() -> None:
    item = EncodedItem("d7", np.zeros(2, np.float32), None)
    with pytest.raises(DataError, match="'d7' has no text"):
        write_item_stream([item], io.BytesIO())
