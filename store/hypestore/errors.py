"""Every error that the store raises.

    StoreError                the root; exit code 4
    ├── StoreNotFound         no hype.toml here or above
    ├── StoreExists           there is a store already
    ├── StoreVersionError     written by a newer version
    ├── StoreNotWritable      a read-only folder
    ├── DiskFull              no space left, or a quota reached
    ├── ArtifactNotFound      no artifact of that id or name
    ├── AmbiguousReference    several artifacts fit
    ├── ArtifactBusy          another process is making it
    ├── ArtifactInUse         other artifacts were made from it
    ├── NameTaken             another artifact has this name
    ├── InvalidContent        what was to be stored is not valid (also a ValueError)
    ├── IncompleteWork        finished before everything was there
    ├── TextNotKept           text of an embedding set that has none
    ├── DamagedArtifact       files missing, truncated or not what the manifest says
    └── CatalogQueryError     SQL that the catalog refuses

A message says what is wrong, where, and what was expected; ``hint`` says what to do next.
"""

from __future__ import annotations


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
    """No ``hype.toml`` in any of the places looked in; the message lists them."""


class StoreExists(StoreError):
    """A store is to be made where there is one."""


class StoreVersionError(StoreError):
    """A store or artifact of a newer format version; the message names what is needed."""


class StoreNotWritable(StoreError):
    """A write to a store whose folder does not allow it."""


class DiskFull(StoreError):
    """No space is left on the disk, or a quota is reached; what was finished before is whole."""


class ArtifactNotFound(StoreError):
    """No artifact has this id or name; the hint lists near matches and what there is."""


class AmbiguousReference(StoreError):
    """A name or the beginning of an id that fits several artifacts; the hint lists them."""


class ArtifactBusy(StoreError):
    """Another process is making or removing this artifact; the message says which."""


class ArtifactInUse(StoreError):
    """An artifact that others were made from is not removed; the message names them."""


class NameTaken(StoreError):
    """Another artifact of this kind has this name."""


class InvalidContent(StoreError, ValueError):
    """What must not be stored: NaN, repeated ids, ranks out of order, a malformed name."""


class IncompleteWork(StoreError):
    """An artifact was to be finished before all was there; the message says what is missing."""


class TextNotKept(StoreError):
    """Texts are asked of an embedding set that was made without them."""


class DamagedArtifact(StoreError):
    """Files of an artifact are missing, truncated or not what the manifest says."""


class CatalogQueryError(StoreError, ValueError):
    """SQL that the catalog does not accept: a syntax error, or anything but a query."""
