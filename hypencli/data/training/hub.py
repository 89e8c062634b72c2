"""Files of a dataset on the Hugging Face hub: those that are wanted, kept in its cache."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from hypencli.data.training.folder import Located
from hypencli.data.training.splits import (
    DATA_ENDINGS,
    SplitFiles,
    is_data_file,
    select_files,
)
from hypencli.errors import DataError
from hypencli.hub import network_errors, reach_hub

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
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    missing = f"No {what} {name!r}: {looked}"
    try:
        reach_hub()
        names = HfApi().list_repo_files(name, repo_type="dataset")
    except (RepositoryNotFoundError, ValueError) as error:
        raise _unknown(missing, looked, error) from error
    except network_errors() as error:
        return _cached(name, choose, missing, error)
    selection = _select(choose, names, f"dataset {name} on the hub")
    try:
        patterns = [glob.escape(file) for file in selection]
        folder = Path(snapshot_download(name, repo_type="dataset", allow_patterns=patterns))
    except network_errors() as error:
        raise DataError(f"The dataset {name} cannot be downloaded: {error}") from error
    return folder, selection


def _select(choose: Choice, names: Iterable[str], where: str) -> tuple[str, ...]:
    return tuple(choose(list(filter(is_data_file, names)), where))


def _cached(
    name: str, choose: Choice, missing: str, reason: Exception
) -> tuple[Path, tuple[str, ...]]:
    """What the cache holds of a dataset when the hub does not answer."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(name, repo_type="dataset", local_files_only=True, allow_patterns=[])
        )
        cached_names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        selection = _select(
            choose, cached_names, f"dataset {name} in the cache {constants.HF_HUB_CACHE}"
        )
        # The cache knows what else the dataset has: numbered siblings of these must be there too.
        patterns = [re.sub(r"\d+", "*", glob.escape(file)) for file in selection]
        snapshot_download(name, repo_type="dataset", local_files_only=True, allow_patterns=patterns)
    except LocalEntryNotFoundError as error:
        raise DataError(
            f"{missing}the hub cannot be reached ({type(reason).__name__}), and its cache "
            f"{constants.HF_HUB_CACHE} holds no whole copy of a dataset of that name.",
            hint=_hint(name, offline=constants.HF_HUB_OFFLINE),
        ) from error
    return folder, selection


def _hint(name: str, *, offline: bool) -> str:
    where = "Where there is a connection" if offline else "With a connection"
    reason = "HF_HUB_OFFLINE is set. " if offline else ""
    return f"{reason}{where}: hf download {name} --repo-type dataset"


def _unknown(missing: str, looked: str, error: Exception) -> DataError:
    return DataError(
        f"{missing}{'and ' if looked else ''}the hub gives no dataset of that name "
        f"({type(error).__name__}).",
        hint="Check the spelling; for a private or gated dataset log in first: hf auth login",
    )
