"""Device, dtype, random generators and the provenance of a result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
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


def git_revision(folder: Path | None = None) -> str | None:
    """Return the git commit of a folder, with ``+dirty`` after changes; None outside git.

    Args:
        folder: A folder in a git checkout; None takes the current folder.
    """
    command = ["git", "-C", str(folder or Path.cwd()), "status", "--porcelain=v2", "--branch"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    head = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), None)
    if head is None or head == "(initial)":
        return None
    return head if all(line.startswith("# ") for line in lines) else f"{head}+dirty"


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def provenance(*, seed: int | None = None, device: str | None = None) -> dict[str, object]:
    """Return the origin of a result as JSON values: versions, machine, git revision, seed."""
    return {
        "hype": __version__,
        "python": platform.python_version(),
        "packages": {name: _installed(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "device": device,
        "git": git_revision(),
        "seed": seed,
    }


def cache_name(kind: str, **determined_by: object) -> str:
    """Return the name of a cache, from a hash of the values that determine its content."""
    text = json.dumps(determined_by, sort_keys=True, default=str)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
