"""Speed of scoring on this machine by dtype, measured once and cached in the store."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path

from hypestore import Store, StoreNotWritable

_VERSION = 4
_FAST = ("int8", "bfloat16")
_REFERENCE = "float32"


def speed_ratios(store: Store, dim: int, width: int) -> dict[str, float]:
    """Measure the speed of q-nets in fast dtypes, relative to float32.

    The speeds are measured once per store, machine and set of instructions.

    Args:
        store: The project store.
        dim: Width of the vectors.
        width: Hidden width of the q-nets.

    Returns:
        Name of a dtype -> relative speed; 0 if this machine does not support the dtype.
    """
    import torch

    about = {
        "version": _VERSION,
        "processor": _processor(),
        "instructions": _instructions(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "widths": [dim, width],
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    def make(folder: Path) -> None:
        measured = {**about, "documents_per_second": _measure(dim, width)}
        (folder / "speed.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")

    try:
        folder = store.cached(f"scan-speed-{digest}", make)
        measured = json.loads((folder / "speed.json").read_text(encoding="utf-8"))
        rates = measured["documents_per_second"]
    except StoreNotWritable:
        rates = _measure(dim, width)
    reference = float(rates[_REFERENCE])
    return {name: float(rates[name]) / reference if reference else 0.0 for name in _FAST}


def _measure(dim: int, width: int) -> dict[str, float]:
    import torch

    from hypencli.engine.blocks import block_rows
    from hypencli.models.speed import documents_per_second

    def rate(name: str) -> float:
        dtype = getattr(torch, name)
        rows = block_rows(dim, dtype, torch.device("cpu"))
        return round(documents_per_second(dim, width, dtype, rows=rows))

    return {name: rate(name) for name in (_REFERENCE, *_FAST)}


def _processor() -> str:
    """Return the model of the CPU, as far as the system reports it."""
    return _reported("model name") or platform.processor() or platform.machine()


def _instructions() -> dict[str, object]:
    """Return what decides which products are fast: of a name, machines may offer different ones.

    These are the flags of the CPU, and the limits set for torch and for the library behind it.
    """
    import torch

    return {
        "flags": sorted((_reported("flags") or _reported("Features") or "").split()),
        "torch": torch.backends.cpu.get_cpu_capability(),
        "onednn": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
    }


def _reported(name: str) -> str | None:
    """Return a value that Linux reports of the first CPU; None if there is none."""
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None
