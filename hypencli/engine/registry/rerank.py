"""The engine ``rerank``: scores the documents of an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hypencli.engine.registry.entry import EngineContext, EngineEntry

if TYPE_CHECKING:
    from hypencli.engine.results import Engine


@dataclass(frozen=True, slots=True)
class RerankOptions:
    """Options of reranking: the run whose documents are scored."""

    run: Annotated[str, Field(description="the run whose documents are scored, by name or id")]


class _Rerank(EngineEntry[RerankOptions]):
    name = "rerank"
    summary = "scores only the documents of an earlier run: of BM25, of a bi-encoder, of any other"
    options = RerankOptions
    needs = ("run",)
    opened_for = "batch"

    def open(self, options: RerankOptions, context: EngineContext) -> Engine:
        from hypencli.engine.rerank import RerankEngine

        return RerankEngine(
            context.corpus, context.candidates(), device=context.device, dtype=context.dtype
        )

    def inputs(self, options: RerankOptions, needed: Mapping[str, str]) -> Mapping[str, Any]:
        return {"rerank": needed["run"]}


RERANK = _Rerank()
