"""The Hugging Face hub: models and datasets by name, from its cache where it does not answer.

Everything that hype asks of the hub's client is asked here, so that a hub without an answer is
noticed in seconds and reported in the same words for models and for datasets.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from hypencli.errors import HypeError

RepositoryKind: TypeAlias = Literal["model", "dataset"]

PATIENCE_SECONDS = 3.0
"""How long a hub that cannot be reached is tried again; one try may take longer, as
``HF_HUB_ETAG_TIMEOUT`` says."""


class HubError(HypeError):
    """A repository that cannot be read. The message is a clause: callers say what they looked for.

    Callers raise a :class:`~hypencli.errors.DataError` or :class:`~hypencli.errors.ModelError`
    with the message in it and with the same hint.
    """


class RepositoryNotGiven(HubError):
    """The hub has no such repository, or does not give it to this user."""


class HubUnreachable(HubError):
    """The hub does not answer, and its cache does not hold what is needed."""


def network_errors() -> tuple[type[Exception], ...]:
    """What the hub's client raises when there is no answer: its HTTP library is asked of it."""
    from huggingface_hub.errors import HfHubHTTPError

    http = [kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError"]
    return (OSError, *http)


def reach_hub(*, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as the hub gives any answer.

    Its client would try again for half a minute, a warning each time, before it says that there is
    no connection. Ask this first where the cache does not have what is needed.

    Args:
        patience_seconds: How long to try again.

    Raises:
        Exception: One of :func:`network_errors`: what the last try met.
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
    """Return if the hub answers; ask this where the cache does not hold the repository.

    Raises:
        HubUnreachable: The hub does not answer.
    """
    try:
        reach_hub()
    except network_errors() as error:
        raise _unreachable(kind, name, error) from error


def hub_answers() -> bool:
    """Whether the hub answers a single question: for those whom the cache can serve too.

    A model is read in several steps, which all ask: what was found out is good for a minute.
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
    """A file of a model in the cache; None where the cache does not hold it.

    Raises:
        ValueError: The name cannot be that of a repository.
    """
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, file)
    return Path(cached) if isinstance(cached, str) else None


def download_file(name: str, file: str, *, revision: str | None = None) -> Path:
    """A file of a model, downloaded where the cache does not hold it.

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
    """A file of a model, or None where the model has none (or none within reach)."""
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    cached = None if revision is None else try_to_load_from_cache(name, file, revision=revision)
    if cached is _CACHED_NO_EXIST:
        return None  # the hub has said so, and a revision does not change
    try:
        return Path(hf_hub_download(name, file, revision=revision))
    except EntryNotFoundError:
        return None


def list_dataset_files(name: str) -> list[str]:
    """The names of the files of a dataset, as the hub lists them.

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
    """The folder of some files of a dataset, downloaded where the cache does not hold them.

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
    """The folder of a dataset in the cache; None where a file is known to be missing there.

    Args:
        name: ``owner/name``.
        patterns: Of the files that must be there.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            name, repo_type="dataset", local_files_only=True, allow_patterns=list(patterns)
        )
    except LocalEntryNotFoundError:
        return None
    return Path(folder)


def cache_folder() -> Path:
    """The folder in which the hub's client keeps what it has downloaded."""
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
    command = f"hf download {name}" + ("" if kind == "model" else f" --repo-type {kind}")
    return HubUnreachable(
        f"the hub cannot be reached ({type(error).__name__}: {reason}), and its cache "
        f"{cache_folder()} holds no whole copy of a {kind} of that name",
        hint=f"{advice} there is a connection: {command}",
    )
