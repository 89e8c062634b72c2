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
_SURROGATE = "surrogate"
_SURE = "float32"

LEAST_RATIO = 1.3
"""The least speed ratio of the first pass to float32, for one q-net."""

_RESCORED = {"int8": 2.2, "bfloat16": 1.5}
"""Cost of scoring again, in documents scored in float32, as a multiple of ``k`` (measured)."""

_BESIDE = {"int8": 1500, "bfloat16": 800}
"""Fixed cost of a first pass, in documents: its sample and the q-net's preparation (measured)."""

_HANDICAP = {"int8": 0.9, "bfloat16": 1.0}
"""Share of a speed ratio left once threads share memory (measured); int8 reads it more often."""

_LARGE = 10_000
"""Documents from which a named arithmetic that is slower than float32 is refused."""


@dataclass(frozen=True, slots=True)
class ExactOptions:
    """Options of exact search: the first pass before float32 decides."""

    scan: Annotated[
        Literal["auto", "surrogate", "int8", "bfloat16", "float32"],
        Field(
            description="how all documents are ranked before float32 decides: by functions fitted "
            "to the q-nets, or by the q-nets in an arithmetic; auto is the fastest arithmetic"
        ),
    ] = "auto"
    force: Annotated[
        bool,
        Field(description="use the arithmetic named by scan also where float32 is faster"),
    ] = False
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
        if options.scan in (_SURROGATE, *_FAST) and request.dtype != _SURE:
            raise UsageError(
                f"A scan in {options.scan} is certified in float32; scores in {request.dtype} are "
                "something else.",
                hint="Leave the dtype out, or leave scan out.",
            )
        for name, is_set in (("certify=false", not options.certify), ("force", options.force)):
            if is_set and options.scan not in _FAST:
                raise UsageError(
                    f"{name} is for a scan that is named.",
                    hint=f"Add {' or '.join(f'scan={fast}' for fast in _FAST)}.",
                )

    def inputs(self, options: ExactOptions, needed: Mapping[str, str]) -> Mapping[str, Any]:
        """Return no inputs for an error-bounded first pass: its run equals that of float32."""
        return {} if options.certify else {"scan": options.scan, "certify": False}


def choose_first_pass(options: ExactOptions, context: EngineContext) -> FirstPassOptions | None:
    """Return the options of the first pass; None if float32 scores the whole corpus.

    Raises:
        UsageError: An arithmetic is named in which this machine is slower than in float32.
    """
    from hypencli.engine.certified import FirstPassOptions, SurrogateOptions

    request, n = context.request, context.corpus.n
    if options.scan in _FAST:
        if not options.force:
            _refuse_slow(options.scan, context)
        return FirstPassOptions(dtype=_arithmetic(options.scan), certify=options.certify)
    if options.scan == _SURROGATE:
        return FirstPassOptions(dtype=None, surrogate=SurrogateOptions())
    # An inner product is too cheap for a first pass to pay.
    automatic = options.scan == "auto" and request.dtype == _SURE and request.q_nets
    if automatic and context.device.type == "cuda":
        return _first_pass_on_gpu(n, request.k)
    if not automatic or context.device.type != "cpu" or not n:
        return None
    # Surrogates are not tried: on q-nets that they fit badly they took twice as long (measured).
    best = _best_arithmetic(context)
    return None if best == _SURE else FirstPassOptions(dtype=_arithmetic(best))


def _best_arithmetic(context: EngineContext) -> str:
    """Return the arithmetic that costs least."""
    n, k = context.corpus.n, context.request.k
    if n / LEAST_RATIO + _again("bfloat16", k) > n:  # too few documents on any machine
        return _SURE
    costs = {
        name: (n / ratio + _again(name, k)) / _HANDICAP[name]
        for name, ratio in context.speed_ratios().items()
        if ratio >= LEAST_RATIO
    }
    costs[_SURE] = n
    return min(costs, key=costs.__getitem__)


def _refuse_slow(name: str, context: EngineContext) -> None:
    """Raise an error if a large corpus would be scored more slowly than in float32."""
    if context.corpus.n < _LARGE or context.device.type != "cpu":
        return
    ratio = context.speed_ratios()[name]
    if ratio < 1:
        rate = f"at {ratio:.2g} times the rate of float32" if ratio else "in no fast way"
        raise UsageError(
            f"This processor scores in {name} {rate}.",
            hint="Leave scan out: what is fastest is found by a measurement. scan=surrogate works "
            "on any processor; force=true takes what is named.",
        )


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
