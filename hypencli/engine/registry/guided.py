"""The engine ``guided``: scores the documents that a surrogate of each q-net ranks first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.registry.entry import EngineContext, EngineEntry, SearchRequest
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from hypencli.engine.results import Engine


class _Guided(EngineEntry[GuidedOptions]):
    name = "guided"
    summary = "scores the documents that the q-net's own slope and scores lead to"
    options = GuidedOptions
    amounts = ("gain", "budget", "recall")
    bounds_recall = True
    takes_index = True
    settings = tuple({"gain": gain} for gain in (0.8, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0))

    def open(self, options: GuidedOptions, context: EngineContext) -> Engine:
        from hypencli.engine.guided import GuidedEngine

        return GuidedEngine(
            context.corpus,
            options,
            index=context.existing_index(),
            device=context.device,
            dtype=context.dtype,
        )

    def refuse(self, options: GuidedOptions, request: SearchRequest) -> None:
        if options.budget is not None and options.budget < request.k:
            raise UsageError(
                f"A budget of {options.budget} evaluations cannot rank {request.k} documents.",
                hint=f"Raise it to {request.k}, or ask for fewer documents.",
            )
        if options.recall is None and options.confidence != GuidedOptions().confidence:
            raise UsageError(
                "confidence is that of a bound on the recall, and no recall is set.",
                hint="Set recall too, or leave confidence out.",
            )

    def inputs(self, options: GuidedOptions, needed: Mapping[str, str]) -> Mapping[str, Any]:
        values = dict(super().inputs(options, needed))
        values.pop("index")  # the index itself is an input
        values |= needed
        if options.recall is None:  # as before there was one, so that runs keep their ids
            del values["recall"], values["confidence"]
        return values


GUIDED = _Guided()
