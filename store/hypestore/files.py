"""Writing aside, flushing and renaming: the one way in which files come into a store."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypestore.errors import DamagedArtifact, StoreNotWritable
from hypestore.free_space import disk_full_in

_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


def temporary_sibling(path: Path) -> Path:
    """A free name in the same folder, so that a rename to ``path`` is atomic."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether this is a temporary file (or a removed folder) by its name."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def present_files(folder: Path) -> list[Path]:
    """The files below a folder in which others may work: what goes meanwhile is left out."""
    paths = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return sorted(path for path in paths if path.is_file())


def temporaries(folder: Path) -> list[Path]:
    """Temporary files and removed folders below a folder; what such a folder holds goes with it."""
    paths: list[Path] = []
    for place, folders, names in os.walk(folder):
        inside = (Path(place) / name for name in (*folders, *names))
        paths += (path for path in inside if is_temporary(path))
        folders[:] = (name for name in folders if not is_temporary(Path(name)))
    return sorted(paths)


def present_size(path: Path) -> int:
    """Size of a file in bytes; 0 where it is gone by now."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def sync_file(path: Path) -> None:
    """Flush the content of a file to the disk."""
    _sync(path, os.O_RDWR)


def sync_tree(folder: Path) -> None:
    """Flush every file and every name below a folder to the disk."""
    for path in folder.rglob("*"):
        sync_folder(path) if path.is_dir() else sync_file(path)
    sync_folder(folder)


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to the disk; Windows has no such call, and needs none."""
    if os.name != "nt":
        _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Turn "permission denied" and "no space left" into sentences about the store.

    Raises:
        StoreNotWritable: The folder or its file system is read-only.
        DiskFull: No space is left there.
    """
    try:
        with disk_full_in(folder):
            yield
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        raise StoreNotWritable(
            f"Cannot write in {folder}: {error.strerror}.",
            hint="Reading works; to write, use a store in a folder of your own (--store DIR).",
        ) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary sibling to write to; on leaving it is flushed and renamed to ``path``.

    Leaving by an exception deletes it and leaves ``path`` as it was.
    """
    temporary = temporary_sibling(path)
    with writing_in(path.parent):
        try:
            yield temporary
            sync_file(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling folder to fill; on leaving it is flushed and put in place of ``path``.

    A folder that is there before goes when the new one is complete. Leaving by an exception
    deletes the new one and leaves ``path`` as it was.
    """
    temporary, before = temporary_sibling(path), temporary_sibling(path)
    with writing_in(path.parent):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            sync_tree(temporary)
            if path.exists():
                path.rename(before)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(path.parent)
        shutil.rmtree(before, ignore_errors=True)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_text(path: Path, data: str) -> None:
    """Write a UTF-8 text file, line ends as they are, as a whole or not at all."""
    atomic_write_bytes(path, data.encode("utf-8"))


def refuse_link(path: Path) -> None:
    """Refuse a link where a store has a file of its own: it may lead out of the store.

    Raises:
        DamagedArtifact: It is one.
    """
    if path.is_symlink():
        raise DamagedArtifact(
            f"{path} is a link; a store holds its files itself.",
            hint="Put the file itself there, if you know where the link came from.",
        )


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove_folder(folder: Path) -> None:
    """Take a folder out of the store in one step, then delete it."""
    with writing_in(folder.parent):
        aside = folder.with_name(f".removed-{folder.name}-{secrets.token_hex(4)}.tmp")
        try:
            folder.rename(aside)
        except FileNotFoundError:
            return
        sync_folder(folder.parent)
        # What cannot be deleted now is a temporary by its name: `hype doctor --clean` takes it.
        shutil.rmtree(aside, ignore_errors=True)
