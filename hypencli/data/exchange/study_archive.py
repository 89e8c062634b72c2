"""Archives of studies: ZIP files that are believed in nothing until it was checked.

Format: ``store/FORMAT.md``, section 15. What an archive holds is known, and small in kind, so the
rules are strict: every name is of a form that cannot leave a folder, every entry is a plain file,
and no byte is unpacked beyond what was announced and allowed.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hypencli.errors import DataError

MAX_ENTRIES = 1_000_000
MAX_TEXT_BYTES = 64 * 2**20
"""Of manifests and the other JSON, which are read into memory."""

MAX_ARCHIVE_BYTES = 16 * 2**30
"""Unpacked, unless the user allows more."""

_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_NAME = re.compile(rf"{_PART}(/{_PART}){{0,7}}")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK_BYTES = 2**20
_ENCRYPTED = 0x1
_EPOCH = (1980, 1, 1, 0, 0, 0)


class StudyArchive:
    """An open archive whose list of entries was checked; their contents are as they are taken.

    Attributes:
        path: The file.
        sizes: Name of each file -> its size when unpacked.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, max_bytes: int) -> None:
        self.path = path
        self._archive = archive
        self._entries = _checked_entries(archive.infolist(), str(path), max_bytes)
        self.sizes: Mapping[str, int] = {
            name: entry.file_size for name, entry in self._entries.items()
        }

    def read(self, name: str) -> bytes:
        """The content of a small file.

        Raises:
            DataError: There is none of this name, it is damaged, or too large to be what it should.
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
        """Write a file to a path that the caller chose; its folder is made.

        Raises:
            DataError: It is damaged, or unpacks to another size than it says.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            for chunk in self._chunks(name):
                out.write(chunk)

    def _chunks(self, name: str) -> Iterator[bytes]:
        """The content, and an error before a byte more than was announced."""
        left = self.sizes[name]
        try:
            with self._archive.open(self._entries[name]) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise DataError(f"{self.path}, {name}: damaged ({error}).") from error
        if left:
            raise DataError(f"{self.path}, {name}: it unpacks to another size than it says.")


@contextmanager
def open_study_archive(path: Path, *, max_bytes: int = MAX_ARCHIVE_BYTES) -> Iterator[StudyArchive]:
    """Open an archive of a study for reading.

    Args:
        path: The file.
        max_bytes: What all its files together may unpack to.

    Raises:
        DataError: It cannot be read, is no ZIP file, or an entry is not of the kind that an archive
            of a study holds; the entry is named.
    """
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            yield StudyArchive(path, archive, max_bytes)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError) as error:
        raise DataError(
            f"{path}: not a ZIP file that can be read ({error}).",
            hint="An archive of a study is what `hype export study` writes.",
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _checked_entries(
    entries: list[zipfile.ZipInfo], name: str, max_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive by their names, folders left out."""
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
    """What is wrong with an entry, as far as it says itself."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    is_folder = entry.orig_filename.endswith("/")
    # The name as it stands in the file: zipfile cuts one at a NUL, and turns backslashes.
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
    """An archive in the making; the same files in the same order make the same bytes."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def write_text(self, name: str, text: str) -> None:
        """Add a text."""
        self._archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), text.encode("utf-8"))

    def write_file(self, name: str, path: Path) -> None:
        """Add a file; Parquet, which is packed already, as it is."""
        packed = path.suffix == ".parquet"
        entry = _entry(name, zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED)
        entry.file_size = path.stat().st_size
        with path.open("rb") as source, self._archive.open(entry, "w") as out:
            while chunk := source.read(_CHUNK_BYTES):
                out.write(chunk)


@contextmanager
def write_study_archive(path: Path) -> Iterator[StudyArchiveWriter]:
    """Write an archive of a study to a file, which is overwritten."""
    with zipfile.ZipFile(path, "w") as archive:
        yield StudyArchiveWriter(archive)


def _entry(name: str, method: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = method
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.create_system = 3
    return entry
