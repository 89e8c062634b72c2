"""Which arithmetic an exact search scans in: what this machine is faster at, measured once."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.errors import UsageError
from hypencli.ops.search_records import SearchOptions
from hypencli.runtime import resolve_device
from hypestore import JsonValue, Store, StoreNotWritable

if TYPE_CHECKING:
    from hypencli.engine.certified import ScanOptions

_VERSION = 1
_FAST, _SURE = "bfloat16", "float32"

LEAST_RATIO = 1.3
"""How much faster the scan must be than float32, one layer against the other."""

_RESCORED, _SAMPLED = 1.3, 500
"""What is scored again, as a multiple of ``k`` and as so many documents beside (measured)."""


def refuse_scan(options: SearchOptions) -> None:
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
    if options.scan == _FAST and options.dtype != _SURE:
        raise UsageError(
            f"--scan {_FAST} is certified in float32; --dtype {options.dtype} is something else.",
            hint="Leave --dtype out.",
        )
    if not options.certify and options.scan != _FAST:
        raise UsageError("--no-certify is for a scan that is named.", hint=f"Add --scan {_FAST}.")


def scan_inputs(options: SearchOptions) -> Mapping[str, JsonValue]:
    """What of a scan determines a run: nothing where float32 certifies it."""
    return {} if options.certify else {"scan": options.scan, "certify": False}


def choose_scan(
    store: Store, options: SearchOptions, *, n: int, dim: int, q_nets: bool
) -> ScanOptions | None:
    """How a corpus is scanned; None where float32 scores all of it.

    Args:
        store: Remembers what was measured.
        options: How it is searched.
        n: Documents of the corpus.
        dim: Width of their vectors.
        q_nets: Whether q-nets search; an inner product is too little work to scan first.
    """
    from hypencli.engine.certified import ScanOptions

    if options.scan == _FAST:
        return ScanOptions(certify=options.certify)
    automatic = options.scan == "auto" and options.dtype == _SURE and q_nets
    if not automatic or resolve_device(options.device).type != "cpu":
        return None
    again = _RESCORED * options.k + _SAMPLED
    if n / LEAST_RATIO + again > n:  # too few documents, whatever the machine
        return None
    ratio = speed_ratio(store, dim, options.width or dim)
    pays = ratio >= LEAST_RATIO and n / ratio + again < n
    return ScanOptions() if pays else None


def speed_ratio(store: Store, inputs: int, outputs: int) -> float:
    """How many times faster a q-net's layer is in the scan's dtype, measured once a store."""
    import torch

    about = {
        "version": _VERSION,
        "processor": _processor(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "widths": [inputs, outputs],
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    def make(folder: Path) -> None:
        measured = {**about, "rows_per_second": _measure(inputs, outputs)}
        (folder / "speed.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")

    try:
        folder = store.cached(f"scan-speed-{digest}", make)
        rates = json.loads((folder / "speed.json").read_text(encoding="utf-8"))["rows_per_second"]
    except StoreNotWritable:
        rates = _measure(inputs, outputs)
    return float(rates[_FAST]) / float(rates[_SURE]) if rates[_SURE] else 0.0


def _measure(inputs: int, outputs: int) -> dict[str, float]:
    from hypencli.models.speed import layers_per_second
    from hypencli.runtime import resolve_dtype

    return {
        name: round(layers_per_second(inputs, outputs, resolve_dtype(name)))
        for name in (_SURE, _FAST)
    }


def _processor() -> str:
    """The model of the CPU, as well as it can be told."""
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
