"""Calibrations of approximate engines: which settings, and which one reaches a recall."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from hypencli.errors import UsageError
from hypencli.ops.models import display_name
from hypencli.ops.search.options import SearchOptions
from hypestore import (
    CurvePoint,
    JsonValue,
    Manifest,
    Store,
)

if TYPE_CHECKING:
    pass


Calibratable: TypeAlias = Literal["guided", "graph"]

CALIBRATABLE: tuple[Calibratable, ...] = get_args(Calibratable)

Setting: TypeAlias = Mapping[str, JsonValue]

_WALK = ("entry_points", "candidates", "max_iterations")


def _identity(
    model: Manifest, embeddings: Manifest, options: SearchOptions
) -> dict[str, JsonValue]:
    """What a calibration must have in common with a search that uses it."""
    return {
        "engine": options.engine,
        "model": model.id,
        "embeddings": embeddings.id,
        "graph": options.graph,
        "query_max_length": options.query_max_length,
        "width": options.width,
        "dtype": options.dtype,
    }


def with_setting(options: SearchOptions, setting: Setting) -> SearchOptions:
    """The same search at a setting of a calibration."""
    from hypencli.engine.graph_walk import WalkOptions
    from hypencli.engine.guided import GuidedOptions

    if options.engine == "guided":
        guided_options = options.guided_options or GuidedOptions()
        return replace(
            options,
            guided_options=replace(guided_options, gain=float(str(setting["gain"])), budget=None),
        )
    points, candidates, iterations = (int(str(setting[name])) for name in _WALK)
    walk = replace(
        options.walk or WalkOptions(),
        entry_points=points,
        candidates=candidates,
        max_iterations=iterations,
    )
    return replace(options, walk=walk)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The setting that a calibration gives for a recall."""

    calibration: str
    point: CurvePoint

    @property
    def setting(self) -> Setting:
        """The options of the engine."""
        options: Setting = json.loads(self.point.setting)
        return options


def operating_point(
    store: Store, model: Manifest, embeddings: Manifest, options: SearchOptions
) -> OperatingPoint:
    """The setting with the fewest evaluations whose measured recall is the one asked for.

    Of several calibrations the newest counts, and of its depths the one nearest to ``k``.

    Raises:
        UsageError: Nothing was calibrated for this search, or no setting reaches the recall.
    """
    from hypencli.ops.graphs.find import find_graph

    recall = options.recall
    if recall is None or not 0.0 < recall <= 1.0:
        raise UsageError(f"A recall of {recall} cannot be reached; give one above 0, up to 1.")
    identity = _identity(model, embeddings, options)
    if options.engine == "graph":
        identity["graph"] = find_graph(store, embeddings.id, k=1, named=options.graph).id
    calibrations = store.find("calibration", identity)
    command = f"hype calibrate --engine {options.engine} --model {display_name(model)}"
    if not calibrations:
        raise UsageError(
            f"Which setting of {options.engine} has a recall of {recall:g} is not known for model "
            f"{display_name(model)} on {display_name(embeddings)}.",
            hint=f"Measure it: {command}; or set it: --budget N, --gain SHARE",
        )
    curve = store.curve(calibrations[-1].id)
    depth = min({point.k for point in curve}, key=lambda k: abs(np.log(k / options.k)))
    fitting = [point for point in curve if point.k == depth and point.recall >= recall]
    if not fitting:
        best = max(point.recall for point in curve if point.k == depth)
        raise UsageError(
            f"No calibrated setting of {options.engine} has a recall of {recall:g} at {depth}; "
            f"the highest is {best:.4f}.",
            hint="Ask for less, set --budget N, or search exactly: --engine exact",
        )
    return OperatingPoint(calibrations[-1].id, min(fitting, key=lambda point: point.evaluations))
