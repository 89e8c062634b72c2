"""Plain lines that are read many at once are those that are read one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.reading.lines import read_lines
from hypencli.data.reading.rows import Fields, plain_texts, read_rows
from hypencli.errors import DataError

PIECES = [b"a", b"", b" ", "\u00a0".encode(), "\u2028é".encode(), b"\xff", b"\t", b"\r", b"\x85"]
PIECES += [b"\xef\xbb\xbf", b"doc-1 ", b"{", b"\x0c", b"\x1c"]


def outcome(read: object) -> list[str] | str:
    try:
        return list(read)  # type: ignore[call-overload]
    except DataError as error:
        return error.message


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines")


@given(
    lines=st.lists(st.lists(st.sampled_from(PIECES), max_size=3).map(b"".join), max_size=9),
    ends=st.sampled_from([b"\n", b"\r\n"]),
    last=st.booleans(),
    size=st.integers(1, 5),
)
def test_texts_and_errors_are_those_of_single_lines(
    folder: Path, lines: list[bytes], ends: bytes, last: bool, size: int
) -> None:
    path = folder / "lines.txt"
    # The first line decides the format; a file of plain lines is one that begins with one.
    path.write_bytes(b"plain" + ends + ends.join(lines) + (ends if last else b""))
    rows = read_rows(read_lines(path), "lines.txt", Fields(), plain=True)
    expected = outcome(row.text for row in rows)
    actual = outcome(plain_texts(path, size))
    if isinstance(actual, str):
        actual = actual.replace(str(path), "lines.txt")
    if isinstance(expected, str):
        expected = expected.replace(str(path), "lines.txt")
    assert actual == expected


def test_a_mark_at_the_beginning_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\nb\n")
    assert list(plain_texts(tmp_path / "a.txt")) == ["a", "b"]


def test_a_line_that_is_too_long_is_refused_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("lines", "rows"):
        monkeypatch.setattr(f"hypencli.data.reading.{module}.MAX_LINE_BYTES", 8)
    (tmp_path / "a.txt").write_bytes(b"a\nb\n" + b"c" * 9)
    with pytest.raises(DataError, match="line 3: longer than 8 bytes"):
        list(plain_texts(tmp_path / "a.txt"))
