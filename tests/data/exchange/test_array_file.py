"""Encoded items in NumPy arrays: rows and their ids."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from hypencli.data.exchange import EncodedItem, open_encoded, write_array
from hypencli.errors import DataError, UsageError

VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture
def array(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, VECTORS)
    return path


def ids_file(folder: Path, content: str, name: str = "ids.txt") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_rows_have_the_ids_in_order(array: Path, tmp_path: Path) -> None:
    items = open_encoded(array, ids=ids_file(tmp_path, "a\nb c\nd\n"))
    assert (items.has_text, items.count) == (False, 3)
    for _ in range(2):  # it can be read again
        actual = list(items)
        assert [(item.doc_id, item.text) for item in actual] == [
            ("a", None),
            ("b c", None),
            ("d", None),
        ]
        np.testing.assert_array_equal([item.vector for item in actual], VECTORS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.jsonl", "\n".join(f'{{"id": "{i}", "title": "T", "text": "x{i}"}}' for i in "abc")),
        ("c.tsv", "a\tT xa\nb\tT xb\nc\tT xc\n"),
    ],
)
def test_a_corpus_brings_its_texts(array: Path, tmp_path: Path, name: str, content: str) -> None:
    items = open_encoded(array, ids=ids_file(tmp_path, content, name))
    assert items.has_text
    assert [(item.doc_id, item.text) for item in items] == [(i, f"T x{i}") for i in "abc"]


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_types_and_orders(tmp_path: Path, dtype: str, order: str) -> None:
    np.save(tmp_path / "x.npy", np.asarray(VECTORS, dtype=dtype, order=order))
    items = open_encoded(tmp_path / "x.npy", ids=ids_file(tmp_path, "a\nb\nc\n"))
    np.testing.assert_array_equal([item.vector for item in items], VECTORS)


@pytest.mark.parametrize(
    ("ids", "problem"),
    [("a\nb\n", "3 rows, and .* 2 ids"), ("a\nb\nc\nd\n", "3 rows, and .* more ids")],
)
def test_another_number_of_ids_is_an_error(
    array: Path, tmp_path: Path, ids: str, problem: str
) -> None:
    items = open_encoded(array, ids=ids_file(tmp_path, ids))
    with pytest.raises(DataError, match=problem):
        list(items)


def test_a_damaged_or_other_array_is_refused(array: Path, tmp_path: Path) -> None:
    ids = ids_file(tmp_path, "a\nb\nc\n")
    whole = array.read_bytes()
    for content, problem in [
        (whole[:-1], "not a NumPy array"),
        (whole + b"\0", rf"byte {len(whole)}: 1 more bytes"),
        (b"\x93NUMPY\x01\x00", "not a NumPy array"),
        (b"", "not a NumPy array"),
        (whole.replace(b"<f4", b"|O8"), "not a NumPy array"),
        (whole.replace(b"<f4", b"<i4"), "int32"),
        (whole.replace(b"(3, 2), ", b"(6,),   "), r"shape \(6,\)"),
        (whole.replace(b"(3, 2), ", b"(9**99),"), "not a NumPy array"),
    ]:
        array.write_bytes(content)
        with pytest.raises(DataError, match=problem):
            open_encoded(array, ids=ids)
    np.savez(tmp_path / "z.npz", VECTORS)
    (tmp_path / "z.npz").rename(array)
    with pytest.raises(DataError, match="not a NumPy array"):
        open_encoded(array, ids=ids)


def test_empty_arrays_and_ids_are_refused(array: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no ids in it"):
        open_encoded(array, ids=ids_file(tmp_path, "\n"))
    np.save(array, np.zeros((0, 2), np.float32))
    with pytest.raises(DataError, match=r"shape \(0, 2\)"):
        open_encoded(array, ids=ids_file(tmp_path, "a\n"))


def test_what_goes_with_what(array: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Which documents") as caught:
        open_encoded(array)
    assert "`ids=FILE`" in str(caught.value.hint)
    with pytest.raises(UsageError, match="has its ids itself"):
        open_encoded(tmp_path / "x.docs", ids=array)
    with pytest.raises(UsageError, match=r"cannot be told from .*x\.vec"):
        open_encoded(tmp_path / "x.vec")


def test_numpy_reads_what_is_written() -> None:
    out, ids = io.BytesIO(), io.StringIO()
    items = [EncodedItem(name, row, None) for name, row in zip("abc", VECTORS, strict=True)]
    assert write_array(items, out, ids, shape=(3, 2), dtype="float16") == 3
    actual = np.load(io.BytesIO(out.getvalue()))
    assert actual.dtype == np.float16
    np.testing.assert_array_equal(actual, VECTORS)
    assert ids.getvalue() == "a\nb\nc\n"


@pytest.mark.parametrize("doc_id", ["a\nb", "a\u2028b", " ", "a\r"])
def test_an_id_without_a_place_in_a_line_is_refused(doc_id: str) -> None:
    item = EncodedItem(doc_id, VECTORS[0], None)
    with pytest.raises(DataError, match="cannot stand in a line"):
        write_array([item], io.BytesIO(), io.StringIO(), shape=(1, 2), dtype="float32")
