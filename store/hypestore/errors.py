"""Every error that the store raises.

    StoreError                the root; exit code 4
    ├── StoreNotFound         no hype.toml here or above
    ├── StoreExists           the folder is a store already
    ├── StoreVersionError     written by a newer version
    ├── StoreNotWritable      a read-only folder
    ├── DiskFull              no space left, or a quota reached
    ├── TooManyOpenFiles      the system lets this process open no more files
    ├── ArtifactNotFound      no artifact of that id or name
    ├── AmbiguousReference    several artifacts fit
    ├── ArtifactBusy          another process is making it
    ├── ArtifactInUse         other artifacts were made from it
    ├── NameTaken             another artifact has this name
    ├── InvalidContent        what was to be stored is not valid (also a ValueError)
    ├── IncompleteWork        to be finished while parts are missing
    ├── TextNotKept           the embedding set was made without text
    ├── DamagedArtifact       files are missing, truncated, or differ from the manifest
    └── CatalogQueryError     SQL that the catalog refuses

A message says what is wrong, where, and what was expected. A ``hint`` says what to do next.
"""

from __future__ import annotations

import errno
import os


class StoreError(Exception):
    """Root of the errors raised by ``hypestore``.

    Args:
        message: What is wrong, where, and what was expected.
        hint: What to do next: a command, or the valid values.
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"


class StoreNotFound(StoreError):
    """There is no ``hype.toml`` in any folder that was searched; the message lists them."""


class StoreExists(StoreError):
    """A store cannot be created in a folder that is one already."""


class StoreVersionError(StoreError):
    """A store or artifact of a newer format version; the message names what is needed."""


class StoreNotWritable(StoreError):
    """The folder of the store cannot be written."""


class DiskFull(StoreError):
    """No space is left on the disk, or a quota is reached; finished artifacts stay whole."""


class TooManyOpenFiles(StoreError):
    """The system lets this process open no more files; no file is damaged."""


class ArtifactNotFound(StoreError):
    """No artifact has this id or name; the hint lists near matches and existing artifacts."""


class AmbiguousReference(StoreError):
    """Several artifacts fit a name or the beginning of an id; the hint lists them."""


class ArtifactBusy(StoreError):
    """Another process is making or removing this artifact; the message says which."""


class ArtifactInUse(StoreError):
    """An artifact cannot be removed while others depend on it; the message names them."""


class NameTaken(StoreError):
    """Another artifact of this kind has this name."""


class InvalidContent(StoreError, ValueError):
    """Content that must not be stored: NaN, repeated ids, ranks out of order, a malformed name."""


class IncompleteWork(StoreError):
    """An artifact cannot be finished yet; the message says what is missing."""


class TextNotKept(StoreError):
    """Texts were asked of an embedding set that was made without text."""


class DamagedArtifact(StoreError):
    """Files of an artifact are missing, truncated, or differ from its manifest."""


class CatalogQueryError(StoreError, ValueError):
    """SQL that the catalog does not accept: a syntax error, or anything but a query."""


_NO_MORE_FILES = os.strerror(errno.EMFILE)


def refuse_open_limit(error: BaseException) -> None:
    """Raise ``TooManyOpenFiles`` if this is what an error of any library says.

    To be called before an error of the system is taken for a damaged file.

    Raises:
        TooManyOpenFiles: The process, or the whole system, may open no more files.
    """
    numbers = (errno.EMFILE, errno.ENFILE)
    is_limit = isinstance(error, OSError) and error.errno in numbers
    if is_limit or _NO_MORE_FILES in str(error):
        raise TooManyOpenFiles(
            "The system lets this process open no more files.",
            hint="Allow more and run the same command again: ulimit -n 4096",
        ) from error
