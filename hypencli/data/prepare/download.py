"""Files of public repositories at a fixed commit, verified by the id that git gives their content.

A download that is there already, from a command that was interrupted, is taken again when its id
is right.
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

FROM_FOLDER = "With the files at hand: hype data prepare NAME --from FOLDER"

_CHUNK_BYTES = 2**20


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
        DataError: It cannot be had, or is not the one that is meant.
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
            raise DataError(
                f"{file.url} did not give what it should: its git id is not {file.blob}.",
                hint=f"Try again. {FROM_FOLDER}",
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
        raise DataError(f"{url} cannot be downloaded: {error}", hint=FROM_FOLDER) from error


@contextmanager
def offering_from() -> Iterator[None]:
    """Say of what cannot be had that files at hand are read too."""
    try:
        yield
    except DataError as error:
        hint = FROM_FOLDER if error.hint is None else f"{error.hint}\n{FROM_FOLDER}"
        raise DataError(error.message, hint=hint) from error


def offered(records: Iterable[T]) -> Iterator[T]:
    """Pass records on, and say the same of those that cannot be had."""
    with offering_from():
        yield from records
