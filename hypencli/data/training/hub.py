"""Training files of a dataset on the Hugging Face hub: those of one split, kept in its cache."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from hypencli.data.training.folder import Located
from hypencli.data.training.splits import DATA_ENDINGS, is_data_file, select_files
from hypencli.errors import DataError

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
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        names = HfApi().list_repo_files(name, repo_type="dataset")
    except (RepositoryNotFoundError, ValueError) as error:
        raise _unknown(name, error) from error
    except _network_errors() as error:
        return _cached(name, split, error)
    selected = select_files(filter(is_data_file, names), split, where=f"dataset {name} on the hub")
    try:
        patterns = [glob.escape(file) for file in selected.names]
        folder = Path(snapshot_download(name, repo_type="dataset", allow_patterns=patterns))
    except _network_errors() as error:
        raise DataError(f"The dataset {name} cannot be downloaded: {error}") from error
    return Located(tuple(folder / file for file in selected.names), selected.split)


def _network_errors() -> tuple[type[Exception], ...]:
    """What the hub's client raises when there is no answer: its HTTP library is asked of it."""
    from huggingface_hub.errors import HfHubHTTPError

    http = [kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError"]
    return (OSError, *http)


def _cached(name: str, split: str, reason: Exception) -> Located:
    """What the cache holds of a dataset when the hub does not answer."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(name, repo_type="dataset", local_files_only=True, allow_patterns=[])
        )
        there = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        where = f"dataset {name} in the cache {constants.HF_HUB_CACHE}"
        selected = select_files(filter(is_data_file, there), split, where=where)
        # The cache knows what else the dataset has: numbered siblings of these must be there too.
        patterns = [re.sub(r"\d+", "*", glob.escape(file)) for file in selected.names]
        snapshot_download(name, repo_type="dataset", local_files_only=True, allow_patterns=patterns)
    except LocalEntryNotFoundError as error:
        raise DataError(
            f"No training data {name!r}: there is no such path (looked in {Path.cwd()}), the hub "
            f"cannot be reached ({type(reason).__name__}), and its cache "
            f"{constants.HF_HUB_CACHE} holds no whole copy of a dataset of that name.",
            hint=_hint(name, offline=constants.HF_HUB_OFFLINE),
        ) from error
    return Located(tuple(folder / file for file in selected.names), selected.split)


def _hint(name: str, *, offline: bool) -> str:
    where = "Where there is a connection" if offline else "With a connection"
    reason = "HF_HUB_OFFLINE is set. " if offline else ""
    return f"{reason}{where}: hf download {name} --repo-type dataset"


def _unknown(name: str, error: Exception) -> DataError:
    return DataError(
        f"No training data {name!r}: there is no such path (looked in {Path.cwd()}), and the hub "
        f"gives no dataset of that name ({type(error).__name__}).",
        hint="Check the spelling; for a private or gated dataset log in first: hf auth login",
    )
