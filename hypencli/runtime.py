"""Device, dtype, random generators and the provenance of a result."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli._version import __version__
from hypencli.errors import DeviceError, did_you_mean

if TYPE_CHECKING:
    import torch

COMPUTE_DTYPES = ("float32", "bfloat16", "float16")
_PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "numpy", "pyarrow", "duckdb")


def resolve_device(name: str | None) -> torch.device:
    """Return the torch device of a name; for None and ``"auto"`` CUDA if available, else the CPU.

    Raises:
        DeviceError: The device is unknown, or this machine does not have it.
    """
    import torch

    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(str(name))
    except RuntimeError as error:
        raise DeviceError(
            f"Unknown device {name!r}.", hint="Valid: auto, cpu, cuda, cuda:0, mps."
        ) from error
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False):
        here = ", ".join(kind for kind, is_present in present.items() if is_present)
        raise DeviceError(f"Device {name!r} is not present.", hint=f"Here there is: {here}.")
    return device


def resolve_dtype(name: str) -> torch.dtype:
    """Return the torch dtype of a name.

    Raises:
        DeviceError: The dtype is not one of :data:`COMPUTE_DTYPES`.
    """
    import torch

    if name not in COMPUTE_DTYPES:
        raise DeviceError(f"Unknown dtype {name!r}.", hint=did_you_mean(name, COMPUTE_DTYPES))
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def quiet_libraries() -> None:
    """Turn off the progress bars of transformers."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def code_revision(package: Path | None = None) -> str | None:
    """Return the git commit of the checkout that holds the code of hype; None outside of one.

    The files of git are read. Git itself does not run, because the configuration of a checkout can
    name commands. So changes since the commit are not noticed. The current folder does not count:
    it may be another project of the user.

    Args:
        package: Folder of the package; None selects that of this code. Only a checkout with the
            package at its top counts, not one that holds a virtual environment.
    """
    package = Path(__file__).resolve().parent if package is None else package
    git_folder = package.parent / ".git"
    try:
        if git_folder.is_file():  # a worktree: the file names the folder
            named = git_folder.read_text(encoding="utf-8").partition("gitdir:")[2].strip()
            git_folder = package.parent / named
        return _commit_of_head(git_folder)
    except (OSError, ValueError):
        return None


def _commit_of_head(git_folder: Path) -> str | None:
    """The commit that HEAD names; None before the first commit."""
    head = (git_folder / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return _commit(head)
    branch = head.removeprefix("ref:").strip()
    common = git_folder / "commondir"  # of a worktree: where branches are
    shared = git_folder / common.read_text(encoding="utf-8").strip() if common.is_file() else None
    folders = [git_folder] if shared is None else [git_folder, shared]
    for folder in folders:
        if (folder / branch).is_file():
            return _commit((folder / branch).read_text(encoding="utf-8").strip())
    packed = folders[-1] / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    named = (line.split(" ", 1) for line in lines if line.endswith(f" {branch}"))
    return next((_commit(words[0]) for words in named if words[-1] == branch), None)


def _commit(text: str) -> str | None:
    """``text`` if it is the name of a commit, by SHA-1 or SHA-256; else None."""
    return text if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else None


def _installed(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def provenance(*, seed: int | None = None, device: str | None = None) -> dict[str, object]:
    """Return the origin of a result as JSON values: versions, machine, commit of the code, seed."""
    return {
        "hype": __version__,
        "python": platform.python_version(),
        "packages": {name: _installed(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "device": device,
        "git": code_revision(),
        "seed": seed,
    }


def cache_name(kind: str, **determined_by: object) -> str:
    """Return the name of a cache, from a hash of the values that determine its content."""
    import hashlib

    text = json.dumps(determined_by, sort_keys=True, default=str)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
