"""Files of repositories: downloaded once, verified, and said plainly when they cannot be had."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypencli.data.prepare.download import DownloadError, RepositoryFile, blob_id, downloaded, fetch
from hypencli.errors import DataError
from hypencli.progress import SILENT

HELLO = b"hello\n"
FILE = RepositoryFile(
    "me/data", "0" * 40, "lists/list.txt", "ce013625030ba8dba906f756967f9e9ca394464a"
)
"""The blob id is what ``git hash-object`` gives for ``hello`` and a line end."""

ADDRESS = f"{FILE.repository}/{FILE.commit}/{FILE.path}"


def test_blob_id_is_that_of_git(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(HELLO)
    assert blob_id(tmp_path / "x") == FILE.blob


def test_a_file_is_downloaded_once(local_github: dict[str, bytes], tmp_path: Path) -> None:
    local_github[ADDRESS] = HELLO
    path = fetch(FILE, tmp_path, SILENT)
    assert (path.name, path.read_bytes()) == ("list.txt", HELLO)
    local_github.clear()
    assert fetch(FILE, tmp_path, SILENT) == path


def test_a_damaged_download_is_fetched_again(
    local_github: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_bytes(HELLO[:3])
    local_github[ADDRESS] = HELLO
    assert fetch(FILE, tmp_path, SILENT).read_bytes() == HELLO


def test_another_content_is_refused(local_github: dict[str, bytes], tmp_path: Path) -> None:
    local_github[ADDRESS] = b"something else"
    with pytest.raises(DownloadError, match=f"git id is not {FILE.blob}"):
        fetch(FILE, tmp_path, SILENT)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there(local_github: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be downloaded: HTTP Error 404") as caught:
        fetch(FILE, tmp_path, SILENT)
    assert caught.value.message.startswith(FILE.url)
    assert list(tmp_path.iterdir()) == []


def test_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("hypencli.data.prepare.download.RAW_FILES", f"http://127.0.0.1:{port}")
    with pytest.raises(DownloadError, match=r"cannot be downloaded: .*refused"):
        fetch(FILE, tmp_path, SILENT)


def test_a_connection_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer stops short of the length that it states."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhel")

    thread = threading.Thread(target=answer)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    port = listening.getsockname()[1]
    monkeypatch.setattr("hypencli.data.prepare.download.RAW_FILES", f"http://127.0.0.1:{port}")
    with pytest.raises(DownloadError, match=r"cannot be downloaded|git id is not"):
        fetch(FILE, tmp_path, SILENT)
    thread.join()
    listening.close()
    assert list(tmp_path.iterdir()) == []


def test_only_an_error_of_the_source_is_a_download_error() -> None:
    """An error that the consumer raises is not the source's."""

    def source() -> Iterator[int]:
        yield 1
        raise DataError("no more", hint="try again")

    records = downloaded(source())
    assert next(records) == 1
    with pytest.raises(DownloadError) as caught:
        next(records)
    assert (caught.value.message, caught.value.hint) == ("no more", "try again")
    with pytest.raises(DataError) as refused:
        list(map(_refuse, downloaded([1])))
    assert not isinstance(refused.value, DownloadError)


def _refuse(record: object) -> None:
    raise DataError(f"{record} is not mine")
