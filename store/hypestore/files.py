"""Atomic writes: every file of a store is written beside its place, flushed, and renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypestore.errors import DamagedArtifact, StoreNotWritable, refuse_open_limit
from hypestore.free_space import disk_full_in

_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""What the system says where a file, or a name that it does not take, stands for a folder."""


def temporary_sibling(path: Path) -> Path:
    """An unused temporary path in the same folder, so that a rename to ``path`` is atomic."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether the name is that of a temporary file or of a removed folder."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def listed(folder: Path) -> tuple[list[Path], str | None]:
    """What a folder holds, and why it cannot be listed, as the end of a sentence.

    A folder that does not exist holds nothing. A link to a folder that does not exist is a
    problem: its disk may not be mounted.

    Raises:
        TooManyOpenFiles: The system lets this process open no more files.
    """
    try:
        return sorted(folder.iterdir()), None
    except FileNotFoundError:
        return [], broken_link(folder)
    except OSError as error:
        refuse_open_limit(error)
        return [], f"cannot be listed: {error.strerror}"


def broken_link(path: Path) -> str | None:
    """What is wrong with a link that leads nowhere, as the end of a sentence; None for others."""
    if path.is_symlink() and not path.exists():
        return f"is a link to {path.readlink()}, which is not there; its disk may not be mounted"
    return None


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, unless they exist, and flush the new names to the disk.

    Raises:
        DamagedArtifact: It, or a folder above it, is a link that leads nowhere.
    """
    for path in (folder, *folder.parents):
        problem = broken_link(path)
        if problem is not None:
            raise DamagedArtifact(
                f"{path} {problem}.", hint="Mount the disk, or delete the link if it is not needed."
            )
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def present_files(folder: Path) -> list[Path]:
    """The files below a folder; files that another process deletes meanwhile are left out."""
    paths = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return sorted(path for path in paths if path.is_file())


def temporaries(folder: Path) -> list[Path]:
    """Temporary files and removed folders below a folder, without what a removed folder holds."""
    paths: list[Path] = []
    for place, folders, names in os.walk(folder):
        inside = (Path(place) / name for name in (*folders, *names))
        paths += (path for path in inside if is_temporary(path))
        folders[:] = (name for name in folders if not is_temporary(Path(name)))
    return sorted(paths)


def present_size(path: Path) -> int:
    """Size of a file in bytes; 0 if it no longer exists."""
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
    """Flush the names in a folder to the disk; on Windows nothing is needed."""
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
    """Turn "permission denied", "no space left" and the like into errors that say what to do.

    Raises:
        StoreNotWritable: The folder or its file system is read-only, or is no folder.
        DiskFull: No space is left there.
        TooManyOpenFiles: The system lets this process open no more files.
    """
    try:
        with disk_full_in(folder):
            yield
    except OSError as error:
        refuse_open_limit(error)
        if error.errno in _NO_FOLDER:
            raise StoreNotWritable(
                f"Cannot write in {folder}: {error.strerror}.", hint="Choose another folder."
            ) from error
        if error.errno not in _NOT_WRITABLE:
            raise
        raise StoreNotWritable(
            f"Cannot write in {folder}: {error.strerror}.",
            hint="Reading works; to write, use a store in a folder of your own (--store DIR).",
        ) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, then flush the file and rename it to ``path``.

    After an exception the temporary file is deleted and ``path`` is unchanged.
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
    """Yield a temporary folder to fill, then flush it and rename it to ``path``.

    An existing folder is replaced when the new one is complete. After an exception the new
    folder is deleted and ``path`` is unchanged.
    """
    temporary, before = temporary_sibling(path), temporary_sibling(path)
    with writing_in(path.parent):
        try:
            make_folder(path.parent)
            temporary.mkdir()
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
    """Write a file atomically: afterwards it is complete, or unchanged."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_text(path: Path, data: str) -> None:
    """Write a UTF-8 text file atomically, without changing line ends."""
    atomic_write_bytes(path, data.encode("utf-8"))


def refuse_link(path: Path) -> None:
    """Refuse a symbolic link in place of a file: it may lead out of the store.

    Raises:
        DamagedArtifact: The path is a link.
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
    """Rename a folder out of its place, so that it is gone in one step, then delete it."""
    with writing_in(folder.parent):
        removed = folder.with_name(f".removed-{folder.name}-{secrets.token_hex(4)}.tmp")
        try:
            folder.rename(removed)
        except FileNotFoundError:
            return
        sync_folder(folder.parent)
        # What cannot be deleted now has a temporary name: `hype doctor --clean` deletes it.
        if removed.is_symlink():
            removed.unlink()
        else:
            shutil.rmtree(removed, ignore_errors=True)


def delete(path: Path) -> None:
    """Delete a file, a link or a whole folder; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
