"""Files of a dataset on the Hugging Face hub: those that are wanted, kept in its cache."""

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
"""The data files of a dataset, and what stands for it in messages -> those that are wanted."""

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def may_be_hub_id(name: str) -> bool:
    """Whether a name could be ``owner/name`` of a dataset on the hub, and is no data file's."""
    return _ID.fullmatch(name) is not None and not name.endswith(DATA_ENDINGS)


def locate_on_hub(name: str, split: str) -> Located:
    """The training files of a split of a hub dataset, downloaded where the cache lacks them.

    Offline, what the cache holds is taken, unless it is known to hold a part only.

    Raises:
        DataError: The hub has no such dataset or cannot be reached and the cache has none; or the
            dataset has no files of that split.
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
    """Some data files of a hub dataset, downloaded where the cache lacks them.

    Offline, what the cache holds is taken, unless it is known to hold a part only.

    Args:
        name: ``owner/name``.
        choose: Says which of its data files are wanted.
        what: What the name is for, for messages.
        looked: Where else it was looked for, for messages.

    Returns:
        The folder they are in, and their names in it.

    Raises:
        DataError: The hub has no such dataset or cannot be reached and the cache has none; or as
            ``choose`` does.
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
    """The files that are wanted of a dataset, if the cache holds all of them."""
    folder = cached_dataset(name)
    if folder is None:
        return None
    cached_names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    selection = _select(choose, cached_names, f"dataset {name} in the cache {cache_folder()}")
    # The cache knows what else the dataset has: numbered siblings of these must be there too.
    siblings = [re.sub(r"\d+", "*", glob.escape(file)) for file in selection]
    return None if cached_dataset(name, siblings) is None else (folder, selection)
