"""Staging folders: for files that are checked before they are moved into a store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypestore.files import temporary_sibling, writing_in
from hypestore.layout import Layout
from hypestore.work.locks import clear_staging_locks, hold, remove_lock


@contextmanager
def staging_folder(layout: Layout) -> Iterator[Path]:
    """Yield an empty folder in a store, locked while it is used; it is deleted on leaving."""
    folder = temporary_sibling(layout.root / "staging")
    lock = layout.staging_lock(folder)
    clear_staging_locks(layout)
    try:
        with hold(lock, what=f"The folder {folder.name}"), writing_in(layout.root):
            try:
                folder.mkdir()
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        remove_lock(lock)  # nobody else ever takes it
