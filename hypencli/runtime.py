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
    """The device named, or the best one there is for ``None`` and ``"auto"``.

    Raises:
        DeviceError: The device is unknown or not present.
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
    """The torch dtype of that name.

    Raises:
        DeviceError: The dtype is not one of :data:`COMPUTE_DTYPES`.
    """
    import torch

    if name not in COMPUTE_DTYPES:
        raise DeviceError(f"Unknown dtype {name!r}.", hint=did_you_mean(name, COMPUTE_DTYPES))
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def quiet_libraries() -> None:
    """Keep the libraries' own progress bars off the terminal; ours say what matters."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def git_revision(folder: Path | None = None) -> str | None:
    """The git commit of ``folder``, or of the current one, with ``+dirty``; None outside git."""
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
    """What made a result: versions, machine, revision, seed; plain JSON values."""
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
    """The name of a cache whose content all of these determine."""
    text = json.dumps(determined_by, sort_keys=True, default=str)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
