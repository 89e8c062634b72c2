"""Files of public repositories at a fixed commit, verified by the id that git gives their content.

A file that an interrupted command has downloaded is used again if its id is right.

A download library such as pooch would verify with the hash functions of :mod:`hashlib`. The id of
git is the only hash that these repositories publish, and none of those functions gives it. What
remains is one request, read in chunks, and :func:`~hypencli.data.atomic.atomic_write`.
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
    """A release cannot be downloaded; it can be read from a folder that holds its files instead."""


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of a repository on GitHub as it was at one commit.

    Attributes:
        repository: ``owner/name``.
        commit: The commit, whole.
        path: Where it lies.
        blob: Git's id of its content, SHA-1 over a header and the content.
    """

    repository: str
    commit: str
    path: str
    blob: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.path).name

    @property
    def url(self) -> str:
        """Where its content is served."""
        return f"{RAW_FILES}/{self.repository}/{self.commit}/{self.path}"

    @property
    def source(self) -> str:
        """What stands for it in records: repository, commit and path."""
        return f"github:{self.repository}@{self.commit[:10]}:{self.path}"


def fetch(file: RepositoryFile, folder: Path, progress: Progress) -> Path:
    """Download a file, unless it is there.

    Args:
        file: The file.
        folder: Where to keep it.
        progress: Told of the download.

    Raises:
        DownloadError: It cannot be downloaded, or its content is not that of the commit.
        DataError: It cannot be written.
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
    """The id that git gives the content of a file."""
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
    """Turn what a connection raises into one error: apart from what the disk raises."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise DownloadError(f"{url} cannot be downloaded: {error}") from error


@contextmanager
def downloading() -> Iterator[None]:
    """Raise as a download's error what a library says about data that it cannot download.

    Raises:
        DownloadError: The library raised a :class:`DataError`; message and hint are kept.
    """
    try:
        yield
    except DataError as error:
        raise DownloadError(error.message, hint=error.hint) from error


def downloaded(records: Iterable[T]) -> Iterator[T]:
    """Pass on the records that a library downloads; see :func:`downloading`."""
    with downloading():
        yield from records
