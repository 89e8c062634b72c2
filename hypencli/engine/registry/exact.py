"""The engine ``exact``: every document is scored, with a fast first pass where that pays."""

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
"""The least speed ratio of the first pass to float32, for one q-net."""

_RESCORED = {"int8": 2.2, "bfloat16": 1.5}
"""Cost of scoring again, in documents scored in float32, as a multiple of ``k`` (measured)."""

_BESIDE = {"int8": 1500, "bfloat16": 800}
"""Fixed cost of a first pass, in documents: its sample and the q-net's preparation (measured)."""

_HANDICAP = {"int8": 0.9, "bfloat16": 1.0}
"""Share of a speed ratio left once threads share memory (measured); int8 reads it more often."""


@dataclass(frozen=True, slots=True)
class ExactOptions:
    """Options of exact search: the dtype of a first pass before float32 decides."""

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
        """Return no inputs for an error-bounded first pass: its run equals that of float32."""
        return {} if options.certify else {"scan": options.scan, "certify": False}


def choose_first_pass(options: ExactOptions, context: EngineContext) -> FirstPassOptions | None:
    """Return the options of the first pass; None if float32 scores the whole corpus."""
    from hypencli.engine.certified import FirstPassOptions

    request, n = context.request, context.corpus.n
    if options.scan in _FAST:
        return FirstPassOptions(dtype=_arithmetic(options.scan), certify=options.certify)
    # An inner product is too cheap for a first pass to pay.
    automatic = options.scan == "auto" and request.dtype == _SURE and request.q_nets
    if automatic and context.device.type == "cuda":
        return _first_pass_on_gpu(n, request.k)
    if not automatic or context.device.type != "cpu":
        return None
    if n / LEAST_RATIO + _again("bfloat16", request.k) > n:  # too few documents on any machine
        return None
    costs = {
        name: (n / ratio + _again(name, request.k)) / _HANDICAP[name]
        for name, ratio in context.speed_ratios().items()
        if ratio >= LEAST_RATIO
    }
    best = min(costs, key=costs.__getitem__, default=_SURE)
    return FirstPassOptions(dtype=_arithmetic(best)) if costs.get(best, n) < n else None


def _first_pass_on_gpu(n: int, k: int) -> FirstPassOptions | None:
    """Return a first pass in bfloat16, where a GPU has it and the corpus is large enough.

    Its products are many times faster than in float32 on every GPU that has them: the cost of
    scoring again decides. (By data sheets; not run on a GPU.)
    """
    import torch

    from hypencli.engine.certified import FirstPassOptions

    pays = torch.cuda.is_bf16_supported(including_emulation=False) and _again("bfloat16", k) < n
    return FirstPassOptions(dtype=torch.bfloat16) if pays else None


def _arithmetic(name: str) -> torch.dtype:
    """Return the dtype of a name, including int8, in which no model computes."""
    import torch

    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _again(name: str, k: int) -> float:
    """Return the cost of a first pass apart from itself, in documents scored in float32."""
    return _RESCORED[name] * k + _BESIDE[name]


EXACT = _Exact()
