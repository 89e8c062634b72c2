"""Archives of studies: ZIP files, which are checked before anything is unpacked.

Format: ``store/FORMAT.md``, section 15. The rules are strict: a name cannot leave the folder, every
entry is a plain file, and no more bytes are unpacked than announced and allowed.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hypencli.errors import DataError

MAX_ENTRIES = 1_000_000
MAX_TEXT_BYTES = 64 * 2**20
"""Maximum size of a JSON file, which is read into memory."""

MAX_ARCHIVE_BYTES = 16 * 2**30
"""Default maximum of all unpacked bytes."""

_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_NAME = re.compile(rf"{_PART}(/{_PART}){{0,7}}")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK_BYTES = 2**20
_ENCRYPTED = 0x1
_DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError)
"""Errors of :mod:`zipfile`: ValueErrors are of names that are not UTF-8, and of negative places."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


class StudyArchive:
    """An open archive with checked entries; contents are checked when they are read.

    Attributes:
        path: The file.
        sizes: Name of a file -> unpacked size in bytes.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, max_bytes: int) -> None:
        self.path = path
        self._archive = archive
        self._entries = _checked_entries(archive.infolist(), str(path), max_bytes)
        self.sizes: Mapping[str, int] = {
            name: entry.file_size for name, entry in self._entries.items()
        }

    def read(self, name: str) -> bytes:
        """Read a small file.

        Raises:
            DataError: The file is missing, damaged or too large.
        """
        if name not in self._entries:
            raise DataError(f"{self.path}: no {name} in it; it is no archive of a study.")
        if self.sizes[name] > MAX_TEXT_BYTES:
            raise DataError(
                f"{self.path}, {name}: {self.sizes[name]:,} bytes, {MAX_TEXT_BYTES:,} at most are "
                "read."
            )
        return b"".join(self._chunks(name))

    def extract(self, name: str, target: Path) -> None:
        """Unpack a file to a path; its folder is created if needed.

        Raises:
            DataError: The file is damaged, or has another size than announced.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            for chunk in self._chunks(name):
                out.write(chunk)

    def _chunks(self, name: str) -> Iterator[bytes]:
        """The content in chunks; an error before it exceeds the announced size."""
        left = self.sizes[name]
        try:
            with self._archive.open(self._entries[name]) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
        except (*_DAMAGED, zlib.error, EOFError) as error:
            raise DataError(f"{self.path}, {name}: damaged ({error!s:.200}).") from error
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if left:
            raise DataError(f"{self.path}, {name}: it unpacks to another size than it says.")


@contextmanager
def open_study_archive(path: Path, *, max_bytes: int = MAX_ARCHIVE_BYTES) -> Iterator[StudyArchive]:
    """Open an archive of a study for reading.

    Args:
        path: The file.
        max_bytes: Maximum of all unpacked bytes.

    Raises:
        DataError: The file cannot be read or is no ZIP file, or an entry breaks the rules of such
            archives; the message names the entry.
    """
    with ExitStack() as opened:
        try:
            archive = opened.enter_context(zipfile.ZipFile(opened.enter_context(path.open("rb"))))
        except _DAMAGED as error:
            raise DataError(
                f"{path}: not a ZIP file that can be read ({error!s:.200}).",
                hint="An archive of a study is what `hype export study` writes.",
            ) from error
        except OSError as error:
            raise _unreadable(path, error) from error
        yield StudyArchive(path, archive, max_bytes)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be read: {error.strerror or error}.")


def _checked_entries(
    entries: list[zipfile.ZipInfo], name: str, max_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    """Name -> entry of the files, without folders, after all checks."""
    if len(entries) > MAX_ENTRIES:
        raise DataError(f"{name}: {len(entries):,} entries, {MAX_ENTRIES:,} at most are read.")
    checked: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for entry in entries:
        problem = _problem(entry)
        if problem is None and entry.filename in checked:
            problem = "is there twice"
        if problem is not None:
            raise DataError(f"{name}: the entry {entry.orig_filename!r:.200} {problem}.")
        if entry.filename.endswith("/"):
            continue
        checked[entry.filename] = entry
        total += entry.file_size
    if total > max_bytes:
        raise DataError(
            f"{name}: it unpacks to {total:,} bytes, {max_bytes:,} at most are read.",
            hint="If it is from somebody you trust, allow more: `max_gigabytes=N`",
        )
    return checked


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """The rule that the description of an entry breaks, or None."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    is_folder = entry.orig_filename.endswith("/")
    # The original name, because zipfile cuts names at a NUL and replaces backslashes.
    if _NAME.fullmatch(entry.orig_filename.removesuffix("/")) is None:
        return "has a name that no file of a study has"
    if kind not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG):
        return "is a link or another special file"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in _METHODS:
        return "is packed by another method than deflate"
    if is_folder and entry.file_size:
        return "is a folder with content"
    return None


class StudyArchiveWriter:
    """A writer of an archive; equal files in equal order give equal bytes."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def write_text(self, name: str, text: str) -> None:
        """Add a text file."""
        self._archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), text.encode("utf-8"))

    def write_file(self, name: str, path: Path) -> None:
        """Add a file; Parquet is compressed already and stored unchanged."""
        packed = path.suffix == ".parquet"
        entry = _entry(name, zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED)
        entry.file_size = path.stat().st_size
        with path.open("rb") as source, self._archive.open(entry, "w") as out:
            while chunk := source.read(_CHUNK_BYTES):
                out.write(chunk)


@contextmanager
def write_study_archive(path: Path) -> Iterator[StudyArchiveWriter]:
    """Open an archive for writing; an existing file is overwritten."""
    with zipfile.ZipFile(path, "w") as archive:
        yield StudyArchiveWriter(archive)


def _entry(name: str, method: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = method
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.create_system = 3
    return entry
