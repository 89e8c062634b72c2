"""Text files by line."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.reading import lines
from hypencli.data.reading.lines import (
    Line,
    decode_lines,
    file_sha256,
    first_line,
    parse_json_object,
    read_lines,
    read_whole,
    summarise_file,
)
from hypencli.errors import DataError


def write(folder: Path, content: bytes, name: str = "file.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_blank_lines_are_skipped_and_numbers_count_them(tmp_path: Path) -> None:
    path = write(tmp_path, b"\none\n \t \r\n\ntwo")
    assert list(read_lines(path)) == [Line(2, "one"), Line(5, "two")]


def test_byte_order_mark_and_crlf_are_not_part_of_the_text(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffone\r\ntwo\r\n".encode())
    assert [line.text for line in read_lines(path)] == ["one", "two"]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    text = "one\u2028still one\x0b\x85still\rone"
    path = write(tmp_path, f"{text}\ntwo\n".encode())
    assert [line.text for line in read_lines(path)] == [text, "two"]


def test_invalid_utf8_names_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"fine\nna\xefve\n")
    with pytest.raises(DataError, match=r"file\.jsonl, line 2: not valid UTF-8 \(byte 3"):
        list(read_lines(path))


def test_gzip_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"one\ntwo\n"), "file.txt")
    assert [line.text for line in read_lines(path)] == ["one", "two"]


@pytest.mark.parametrize("keep", [5, 12, -5])
def test_damaged_gzip_is_an_error(tmp_path: Path, keep: int) -> None:
    whole = gzip.compress(b"".join(b"line %d of the file\n" % i for i in range(500)))
    path = write(tmp_path, whole[:keep], "file.jsonl.gz")
    with pytest.raises(DataError, match="gzip"):
        list(read_lines(path))
    with pytest.raises(DataError, match="gzip"):
        summarise_file(path)


def test_missing_file_and_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read: No such file"):
        first_line(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="Is a directory"):
        first_line(tmp_path)


def test_a_line_beyond_the_limit_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 64)
    fits = write(tmp_path, b"x" * 63 + b"\nshort\n")
    assert len(list(read_lines(fits))) == 2
    with pytest.raises(DataError, match="line 2: longer than 64 bytes"):
        list(read_lines(write(tmp_path, b"short\n" + b"x" * 65 + b"\n")))


def test_ten_megabytes_in_a_line_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"id": 1, "text": "' + b"word " * 2_000_000 + b'"}\n')
    (line,) = read_lines(path)
    assert len(parse_json_object(line, "file")["text"]) == 10_000_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"id": 1', "not valid JSON"),
        ("[1, 2]", "a JSON object was expected, not list"),
        ('"text"', "a JSON object was expected, not str"),
        ("[" * 100_000, "not valid JSON"),
        ('{"id": "raw\x00nul"}', "not valid JSON"),
        ('{"id": 1' + "0" * 5000 + "}", "not valid JSON"),
    ],
)
def test_what_is_not_a_json_object_names_its_line(text: str, problem: str) -> None:
    with pytest.raises(DataError, match=rf"f\.jsonl, line 7: {problem}"):
        parse_json_object(Line(7, text), "f.jsonl")


@given(
    st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r", b"\n", "\ufeff".encode(), b"\x0b"])).map(
        b"".join
    ),
    st.integers(1, 5),
)
def test_a_scan_counts_the_lines_that_are_read(content: bytes, chunk: int) -> None:
    import io
    from unittest import mock

    read = list(decode_lines(io.BytesIO(content), "name"))
    path = mock.Mock(spec=Path)
    path.is_fifo.return_value = False
    path.open.side_effect = lambda mode: io.BufferedReader(io.BytesIO(content))
    # The mark must lie within the first chunk, as it does in chunks of real size.
    size = chunk + (3 if content.startswith("\ufeff".encode()) else 0)
    with mock.patch.object(lines, "_CHUNK_BYTES", size):
        assert summarise_file(path).rows == len(read)


def test_a_scan_hashes_the_content_of_a_compressed_file(tmp_path: Path) -> None:
    content = b"one\n\ntwo"
    plain = summarise_file(write(tmp_path, content, "plain"))
    packed = summarise_file(write(tmp_path, gzip.compress(content), "packed.gz"))
    assert plain == packed
    assert plain.rows == 2
    assert plain.sha256 != summarise_file(write(tmp_path, b"one\n\ntwO", "other")).sha256


def test_a_named_pipe_is_refused_and_one_of_the_shell_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for read in (file_sha256, read_whole):
        with pytest.raises(DataError, match="is a pipe, not a file"):
            read(pipe)
    reading, writing = os.pipe()
    os.write(writing, b"text")
    os.close(writing)
    assert read_whole(Path(f"/dev/fd/{reading}")) == b"text"
    os.close(reading)
