"""Models and datasets of the Hugging Face hub by name, from its cache if it does not answer.

All calls of the hub's client are in this module. So an unreachable hub is noticed within seconds,
and reported in the same words for models and datasets.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from hypencli.errors import HypeError
from hypencli.escaping import escape_shell

RepositoryKind: TypeAlias = Literal["model", "dataset"]

PATIENCE_SECONDS = 3.0
"""Seconds to retry an unreachable hub; one try may take longer (``HF_HUB_ETAG_TIMEOUT``)."""


class HubError(HypeError):
    """A repository that cannot be read.

    Callers raise a :class:`~hypencli.errors.DataError` or :class:`~hypencli.errors.ModelError`
    that names the repository, followed by this message, which is a clause, and this hint.
    """


class RepositoryNotGiven(HubError):
    """The hub has no such repository, or this user may not read it."""


class HubUnreachable(HubError):
    """The hub does not answer, and its cache does not hold what is needed."""


def network_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the hub's client, and of its HTTP library, for an unreachable hub."""
    from huggingface_hub.errors import HfHubHTTPError

    http = [kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError"]
    return (OSError, *http)


def reach_hub(*, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as the hub gives any answer.

    The hub's client would retry for half a minute, with warnings, before it reports a missing
    connection. Call this first if the cache lacks a file.

    Args:
        patience_seconds: How long to retry.

    Raises:
        Exception: One of :func:`network_errors`, from the last try.
    """
    from huggingface_hub import constants, get_session

    started = time.monotonic()
    while True:
        try:
            get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
            return
        except network_errors():
            if constants.HF_HUB_OFFLINE or time.monotonic() - started >= patience_seconds:
                raise
        time.sleep(1.0)


def require_hub(kind: RepositoryKind, name: str) -> None:
    """Return if the hub answers; call this if the cache does not hold the repository.

    Raises:
        HubUnreachable: The hub does not answer.
    """
    try:
        reach_hub()
    except network_errors() as error:
        raise _unreachable(kind, name, error) from error


def hub_answers() -> bool:
    """Return whether the hub answers one request. Call this if the cache could be used instead.

    The answer is remembered for a minute, because reading a model asks several times.
    """
    from huggingface_hub import constants

    return _answers(constants.ENDPOINT, constants.HF_HUB_OFFLINE, int(time.monotonic() // 60))


@lru_cache(maxsize=1)
def _answers(_endpoint: str, _offline: bool, _minute: int) -> bool:
    try:
        reach_hub(patience_seconds=0.0)
    except network_errors():
        return False
    return True


def cached_file(name: str, file: str) -> Path | None:
    """Return the path of a model's file in the cache; None if the cache does not hold it.

    Raises:
        ValueError: The name cannot be that of a repository.
    """
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, file)
    return Path(cached) if isinstance(cached, str) else None


def download_file(name: str, file: str, *, revision: str | None = None) -> Path:
    """Return the path of a model's file, and download it if the cache does not hold it.

    Raises:
        RepositoryNotGiven: The hub has no such model, or no such file in it.
    """
    from huggingface_hub import hf_hub_download

    refusals: tuple[type[Exception], ...] = (*network_errors(), ValueError)
    try:
        return Path(hf_hub_download(name, file, revision=revision))
    except refusals as error:
        raise _not_given("model", name, error) from error


def download_optional_file(name: str, file: str, *, revision: str | None = None) -> Path | None:
    """Return the path of a model's file, or None if there is no such file or model."""
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    cached = None if revision is None else try_to_load_from_cache(name, file, revision=revision)
    if cached is _CACHED_NO_EXIST:
        return None  # the cache records that this revision lacks the file
    try:
        return Path(hf_hub_download(name, file, revision=revision))
    except (EntryNotFoundError, HFValidationError):
        return None


def list_dataset_files(name: str) -> list[str]:
    """List the names of all files of a dataset on the hub.

    Raises:
        RepositoryNotGiven: The hub has no such dataset.
        HubUnreachable: The hub does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    require_hub("dataset", name)
    try:
        return HfApi().list_repo_files(name, repo_type="dataset")
    except (RepositoryNotFoundError, ValueError) as error:
        raise _not_given("dataset", name, error) from error
    except network_errors() as error:
        raise _unreachable("dataset", name, error) from error


def download_dataset_files(name: str, files: Iterable[str]) -> Path:
    """Return the folder with files of a dataset, and download those not in the cache.

    Raises:
        HubError: A file cannot be downloaded.
    """
    from huggingface_hub import snapshot_download

    patterns = [glob.escape(file) for file in files]
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=patterns))
    except network_errors() as error:
        raise HubError(f"its files cannot be downloaded: {error}") from error


def cached_dataset(name: str, patterns: Iterable[str] = ()) -> Path | None:
    """Return the folder of a dataset in the cache, or None if a file is missing there.

    Args:
        name: ``owner/name``.
        patterns: Patterns of the files that must be in the cache.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            name, repo_type="dataset", local_files_only=True, allow_patterns=list(patterns)
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return Path(folder)


def cache_folder() -> Path:
    """Return the folder in which the hub's client keeps downloaded files."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _not_given(kind: RepositoryKind, name: str, error: Exception) -> RepositoryNotGiven:
    return RepositoryNotGiven(
        f"the hub gives no {kind} of that name ({type(error).__name__})",
        hint="Check the spelling, the connection, and HF_HUB_OFFLINE; for a private or gated "
        f"{kind} log in first: hf auth login",
    )


def _unreachable(kind: RepositoryKind, name: str, error: Exception) -> HubUnreachable:
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    reason = "HF_HUB_OFFLINE is set" if offline else str(error)
    advice = "HF_HUB_OFFLINE is set. Where" if offline else "Check spelling and connection. Where"
    command = f"hf download {escape_shell(name)}" + (
        "" if kind == "model" else f" --repo-type {kind}"
    )
    return HubUnreachable(
        f"the hub cannot be reached ({type(error).__name__}: {reason}), and its cache "
        f"{cache_folder()} holds no whole copy of a {kind} of that name",
        hint=f"{advice} there is a connection: {command}",
    )
