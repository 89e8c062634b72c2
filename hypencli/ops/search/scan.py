"""Which arithmetic an exact search scans in: what this machine is faster at, measured once."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.errors import UsageError
from hypencli.ops.search.options import SearchOptions
from hypencli.runtime import resolve_device
from hypestore import (
    JsonValue,
    Store,
    StoreNotWritable,
)

if TYPE_CHECKING:
    import torch

    from hypencli.engine.certified import FirstPassOptions

_VERSION = 3
_FAST = ("int8", "bfloat16")
_SURE = "float32"

LEAST_RATIO = 1.3
"""How much faster the scan must be than float32, one q-net against the other."""

_RESCORED = {"int8": 2.2, "bfloat16": 1.5}
"""What scoring again takes, in documents of a float32 scan, as a multiple of ``k`` (measured)."""

_BESIDE = {"int8": 1500, "bfloat16": 800}
"""And so many documents beside: the sample, and what preparing the q-net takes (measured)."""

_HANDICAP = {"int8": 0.9, "bfloat16": 1.0}
"""What is left of a rate once the threads share memory (measured): int8 has more passes over it."""


def refuse_first_pass(options: SearchOptions) -> None:
    """Refuse options of a scan that contradict each other or the rest.

    Raises:
        UsageError: They do.
    """
    if options.scan == "auto" and options.certify:
        return
    if options.engine != "exact":
        raise UsageError(
            f"--scan and --certify are for exact search; this search is {options.engine}.",
            hint="Add --engine exact, or leave them out.",
        )
    if options.scan in _FAST and options.dtype != _SURE:
        raise UsageError(
            f"--scan {options.scan} is certified in float32; --dtype {options.dtype} is something "
            "else.",
            hint="Leave --dtype out.",
        )
    if not options.certify and options.scan not in _FAST:
        raise UsageError(
            "--no-certify is for a scan that is named.",
            hint=f"Add {' or '.join(f'--scan {name}' for name in _FAST)}.",
        )


def first_pass_inputs(options: SearchOptions) -> Mapping[str, JsonValue]:
    """What of a scan determines a run: nothing where float32 certifies it."""
    return {} if options.certify else {"scan": options.scan, "certify": False}


def choose_first_pass(
    store: Store, options: SearchOptions, *, n: int, dim: int, q_nets: bool
) -> FirstPassOptions | None:
    """How a corpus is scanned; None where float32 scores all of it.

    Args:
        store: Remembers what was measured.
        options: How it is searched.
        n: Documents of the corpus.
        dim: Width of their vectors.
        q_nets: Whether q-nets search; an inner product is too little work to scan first.
    """
    from hypencli.engine.certified import FirstPassOptions

    if options.scan in _FAST:
        return FirstPassOptions(dtype=_arithmetic(options.scan), certify=options.certify)
    automatic = options.scan == "auto" and options.dtype == _SURE and q_nets
    if not automatic or resolve_device(options.device).type != "cpu":
        return None
    if n / LEAST_RATIO + _again("bfloat16", options.k) > n:  # too few, whatever the machine
        return None
    ratios = speed_ratios(store, dim, options.width or dim)
    costs = {
        name: (n / ratio + _again(name, options.k)) / _HANDICAP[name]
        for name, ratio in ratios.items()
        if ratio >= LEAST_RATIO
    }
    best = min(costs, key=costs.__getitem__, default=_SURE)
    return FirstPassOptions(dtype=_arithmetic(best)) if costs.get(best, n) < n else None


def _arithmetic(name: str) -> torch.dtype:
    """The dtype of that name: int8 too, which is none that a model computes in."""
    import torch

    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _again(name: str, k: int) -> float:
    """Documents scored in float32 beside a scan, or what takes as long."""
    return _RESCORED[name] * k + _BESIDE[name]


def speed_ratios(store: Store, dim: int, width: int) -> dict[str, float]:
    """How many times faster than in float32 q-nets of that width score, by the scan's arithmetic.

    Measured once a store; 0 where this machine has no way.
    """
    import torch

    about = {
        "version": _VERSION,
        "processor": _processor(),
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
    sure = float(rates[_SURE])
    return {name: float(rates[name]) / sure if sure else 0.0 for name in _FAST}


def _measure(dim: int, width: int) -> dict[str, float]:
    import torch

    from hypencli.engine.blocks import block_rows
    from hypencli.models.speed import documents_per_second

    def rate(name: str) -> float:
        dtype = _arithmetic(name)
        rows = block_rows(dim, dtype, torch.device("cpu"))
        return round(documents_per_second(dim, width, dtype, rows=rows))

    return {name: rate(name) for name in (_SURE, *_FAST)}


def _processor() -> str:
    """The model of the CPU, as well as it can be told."""
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
