"""The engine ``graph``: the paper's search over a neighbour graph."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hypencli.engine.parameters import WalkOptions
from hypencli.engine.registry.entry import EngineContext, EngineEntry, Setting

if TYPE_CHECKING:
    from hypencli.engine.results import Engine


_AMOUNTS = ("entry_points", "candidates", "max_iterations")


class _Graph(EngineEntry[WalkOptions]):
    name = "graph"
    summary = "walks over a neighbour graph to what the q-nets prefer, as the paper does"
    options = WalkOptions
    needs = ("graph",)
    presets = MappingProxyType(
        {
            "efficient-1": {},
            "efficient-2": {"entry_points": 100_000, "candidates": 328, "max_iterations": 20},
        }
    )
    settings = tuple(
        dict(zip(_AMOUNTS, walk, strict=True))
        for walk in (
            (100, 8, 16),
            (300, 16, 16),
            (1_000, 32, 16),
            (1_000, 64, 16),
            (3_000, 64, 16),
            (10_000, 64, 16),
            (10_000, 328, 20),
            (100_000, 328, 20),
        )
    )

    def open(self, options: WalkOptions, context: EngineContext) -> Engine:
        from hypencli.engine.graph_walk import GraphEngine

        return GraphEngine(
            context.corpus,
            context.neighbours(),
            options,
            seeds=None if options.seeds is None else context.candidates(),
            device=context.device,
            dtype=context.dtype,
        )

    def run_of(self, options: WalkOptions) -> str | None:
        return options.seeds

    def inputs(self, options: WalkOptions, needed: Mapping[str, str]) -> Mapping[str, Any]:
        inputs = dict(super().inputs(options, needed))
        # The run's id counts, not its name. Runs without seeds keep the ids of earlier versions.
        del inputs["seeds"]
        return inputs

    def fitted(self, setting: Setting, n: int) -> Setting:
        return {**setting, "entry_points": min(n, setting["entry_points"])}


GRAPH = _Graph()
