"""Training files of datasets on the Hugging Face hub, downloaded to its cache."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from hypencli.data.training.folder import Located
from hypencli.data.training.splits import DATA_ENDINGS, SplitFiles, is_data_file, select_files
from hypencli.errors import DataError
from hypencli.hub import (
    HubError,
    HubUnreachable,
    RepositoryNotGiven,
    cache_folder,
    cached_dataset,
    download_dataset_files,
    list_dataset_files,
)

Choice: TypeAlias = Callable[[Sequence[str], str], Sequence[str]]
"""Selects files of a dataset. The arguments are its data files, and its name in messages."""

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def may_be_hub_id(name: str) -> bool:
    """Return whether a name can be the ``owner/name`` of a hub dataset and is not a data file."""
    return _ID.fullmatch(name) is not None and not name.endswith(DATA_ENDINGS)


def locate_on_hub(name: str, split: str) -> Located:
    """Find the training files of a split of a hub dataset, and download those not in the cache.

    Without a connection, the files in the cache are used, unless the cache is known to be
    incomplete.

    Raises:
        DataError: The hub has no such dataset, or cannot be reached and the cache does not hold the
            dataset; or the dataset has no files of this split.
    """
    selected: list[SplitFiles] = []

    def choose(names: Sequence[str], where: str) -> Sequence[str]:
        selected.append(select_files(names, split, where=where))
        return selected[-1].names

    looked = f"there is no such path (looked in {Path.cwd()}), "
    folder, files = files_on_hub(name, choose, what="training data", looked=looked)
    return Located(tuple(folder / file for file in files), selected[-1].split)


def files_on_hub(
    name: str, choose: Choice, *, what: str = "dataset", looked: str = ""
) -> tuple[Path, tuple[str, ...]]:
    """Find selected data files of a hub dataset, and download those not in the cache.

    Without a connection, the files in the cache are used, unless the cache is known to be
    incomplete.

    Args:
        name: ``owner/name``.
        choose: Selects the required data files.
        what: Purpose of the dataset, for messages.
        looked: Other places that were searched for the dataset, for messages.

    Returns:
        Folder of the files, and their paths relative to it.

    Raises:
        DataError: The hub has no such dataset, or cannot be reached and the cache does not hold the
            dataset; or ``choose`` raises it.
    """
    missing = f"No {what} {name!r}: {looked}"
    try:
        names = list_dataset_files(name)
    except RepositoryNotGiven as error:
        conjunction = "and " if looked else ""
        raise DataError(f"{missing}{conjunction}{error.message}.", hint=error.hint) from error
    except HubUnreachable as error:
        cached = _cached(name, choose)
        if cached is None:
            raise DataError(f"{missing}{error.message}.", hint=error.hint) from error
        return cached
    selection = _select(choose, names, f"dataset {name} on the hub")
    try:
        return download_dataset_files(name, selection), selection
    except HubError as error:
        raise DataError(f"Dataset {name}: {error.message}") from error


def _select(choose: Choice, names: Iterable[str], where: str) -> tuple[str, ...]:
    return tuple(choose(list(filter(is_data_file, names)), where))


def _cached(name: str, choose: Choice) -> tuple[Path, tuple[str, ...]] | None:
    """Return folder and names of the selected files, or None if the cache lacks one of them."""
    folder = cached_dataset(name)
    if folder is None:
        return None
    cached_names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    selection = _select(choose, cached_names, f"dataset {name} in the cache {cache_folder()}")
    # The cache records all files of the dataset: it must also hold numbered siblings of these.
    siblings = [re.sub(r"\d+", "*", glob.escape(file)) for file in selection]
    return None if cached_dataset(name, siblings) is None else (folder, selection)
