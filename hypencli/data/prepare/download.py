"""Download files of public repositories at a fixed commit, verified by their git blob ids.

A file that an interrupted command has downloaded is used again if its id is correct.

A download library such as pooch verifies hashes of :mod:`hashlib`. These repositories publish only
git blob ids, which are SHA-1 with a header. So this module reads one request in chunks into
:func:`~hypencli.data.atomic.atomic_write`.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from hypencli.data.atomic import atomic_write
from hypencli.errors import DataError
from hypencli.progress import Progress

T = TypeVar("T")

RAW_FILES = "https://raw.githubusercontent.com"
TIMEOUT_SECONDS = 60.0

_CHUNK_BYTES = 2**20


class DownloadError(DataError):
    """A file cannot be downloaded; the user can name a folder with the files instead."""


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of a GitHub repository at one commit.

    Attributes:
        repository: ``owner/name``.
        commit: The full commit id.
        path: Path in the repository.
        blob: Git blob id: SHA-1 of a header and the content.
    """

    repository: str
    commit: str
    path: str
    blob: str

    @property
    def name(self) -> str:
        """The name of the file without its folder."""
        return PurePosixPath(self.path).name

    @property
    def url(self) -> str:
        """The address of the content."""
        return f"{RAW_FILES}/{self.repository}/{self.commit}/{self.path}"

    @property
    def source(self) -> str:
        """Id for records: repository, commit and path."""
        return f"github:{self.repository}@{self.commit[:10]}:{self.path}"


def fetch(file: RepositoryFile, folder: Path, progress: Progress) -> Path:
    """Download a file, unless the folder has it.

    Args:
        file: The file.
        folder: The folder for the download.
        progress: Receives a message about the download.

    Raises:
        DownloadError: The file cannot be downloaded, or its content differs from the commit.
        DataError: The file cannot be written.
    """
    path = folder / file.name
    if path.is_file() and blob_id(path) == file.blob:
        return path
    progress.message(f"downloading {file.url}")
    with atomic_write(path) as temporary:
        with temporary.open("wb") as out:
            for chunk in _chunks(file.url):
                out.write(chunk)
        if blob_id(temporary) != file.blob:
            raise DownloadError(
                f"{file.url} gave another content: its git id is not {file.blob}.",
                hint="Try again.",
            )
    return path


def blob_id(path: Path) -> str:
    """Return the git blob id of a file."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(url: str) -> Iterator[bytes]:
    with _reaching(url):
        response = urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS)
    with response:
        while True:
            with _reaching(url):
                chunk = response.read(_CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Turn errors of the connection into :class:`DownloadError`; errors of the disk pass."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise DownloadError(f"{url} cannot be downloaded: {error}") from error


@contextmanager
def downloading() -> Iterator[None]:
    """Turn a :class:`DataError` of a library that downloads data into a :class:`DownloadError`.

    Raises:
        DownloadError: The block raised a :class:`DataError`; message and hint are kept.
    """
    try:
        yield
    except DataError as error:
        raise DownloadError(error.message, hint=error.hint) from error


def downloaded(records: Iterable[T]) -> Iterator[T]:
    """Yield the records that a library downloads; see :func:`downloading`."""
    with downloading():
        yield from records
