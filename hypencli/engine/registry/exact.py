"""The engine ``exact``: every document is scored, in a fast arithmetic first where that pays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from hypencli.engine.registry.entry import EngineContext, EngineEntry, SearchRequest
from hypencli.errors import UsageError

if TYPE_CHECKING:
    import torch

    from hypencli.engine.certified import FirstPassOptions
    from hypencli.engine.results import Engine

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


@dataclass(frozen=True, slots=True)
class ExactOptions:
    """Arithmetic in which all documents are scored before float32 decides."""

    scan: Annotated[
        Literal["auto", "int8", "bfloat16", "float32"],
        Field(
            description="arithmetic in which all documents are scored before float32 decides; auto "
            "is what this machine is fastest at"
        ),
    ] = "auto"
    certify: Annotated[
        bool,
        Field(
            description="score again in float32 until nothing left can reach the best k, under a "
            "bound that is measured"
        ),
    ] = True


class _Exact(EngineEntry[ExactOptions]):
    name = "exact"
    summary = "scores every document; for q-nets and for query vectors"
    options = ExactOptions
    approximate = False

    def open(self, options: ExactOptions, context: EngineContext) -> Engine:
        from hypencli.engine.certified import ErrorBoundedEngine
        from hypencli.engine.exact import ExactEngine

        first_pass = choose_first_pass(options, context)
        if first_pass is None:
            return ExactEngine(context.corpus, device=context.device, dtype=context.dtype)
        return ErrorBoundedEngine(context.corpus, first_pass, device=context.device)

    def refuse(self, options: ExactOptions, request: SearchRequest) -> None:
        if options.scan in _FAST and request.dtype != _SURE:
            raise UsageError(
                f"A scan in {options.scan} is certified in float32; scores in {request.dtype} are "
                "something else.",
                hint="Leave the dtype out, or leave scan out.",
            )
        if not options.certify and options.scan not in _FAST:
            raise UsageError(
                "certify=false is for a scan that is named.",
                hint=f"Add {' or '.join(f'scan={name}' for name in _FAST)}.",
            )

    def inputs(self, options: ExactOptions, needed: Mapping[str, str]) -> Mapping[str, Any]:
        """Nothing where float32 certifies the scan: the run is then that of float32."""
        return {} if options.certify else {"scan": options.scan, "certify": False}


def choose_first_pass(options: ExactOptions, context: EngineContext) -> FirstPassOptions | None:
    """How a corpus is scanned; None where float32 scores all of it."""
    from hypencli.engine.certified import FirstPassOptions

    request, n = context.request, context.corpus.n
    if options.scan in _FAST:
        return FirstPassOptions(dtype=_arithmetic(options.scan), certify=options.certify)
    # An inner product is too little work to scan first.
    automatic = options.scan == "auto" and request.dtype == _SURE and request.q_nets
    if not automatic or context.device.type != "cpu":
        return None
    if n / LEAST_RATIO + _again("bfloat16", request.k) > n:  # too few, whatever the machine
        return None
    costs = {
        name: (n / ratio + _again(name, request.k)) / _HANDICAP[name]
        for name, ratio in context.speed_ratios().items()
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


EXACT = _Exact()
