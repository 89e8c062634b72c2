"""Paths that users write: a home folder, and texts that cannot be paths.

A text from the user may be a path or something else, such as an id or a name on the hub. So these
functions answer for every text: a name that is too long for a file system, or has a NUL, is that of
no file. The methods of :class:`pathlib.Path` raise errors for such texts.
"""

from __future__ import annotations

import os
from pathlib import Path


def user_path(text: str | os.PathLike[str]) -> Path:
    """Return the path that a user wrote, with ``~`` and ``~NAME`` replaced by a home folder.

    Without a user of this name the text stays as it is, as in a shell.
    """
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises RuntimeError


def exists(path: str | os.PathLike[str]) -> bool:
    """Return whether something has this path."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a regular file has this path."""
    return os.path.isfile(path)  # noqa: PTH113


def is_dir(path: str | os.PathLike[str]) -> bool:
    """Return whether a folder has this path."""
    return os.path.isdir(path)  # noqa: PTH112
