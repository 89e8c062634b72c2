"""Look-up of calibrations: the setting of an engine for a recall."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hypencli.engine.registry.entry import EngineEntry, Setting
from hypencli.engine.registry.lookup import engine_entries, engine_entry
from hypencli.errors import UsageError
from hypencli.escaping import escape_shell
from hypencli.ops.models import display_name
from hypencli.ops.recorded_places import has_queries
from hypencli.ops.search.engines import EnginePlan, plan_engine, refuse_several_amounts, with_preset
from hypencli.ops.search.options import EngineSpec, Scoring, SearchOptions
from hypencli.ops.search.target import SearchTarget
from hypestore import CurvePoint, JsonValue, Manifest


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A measured setting of a calibration.

    Attributes:
        calibration: Id of the calibration.
        point: The setting, with its recall and costs.
    """

    calibration: str
    point: CurvePoint

    @property
    def setting(self) -> Setting:
        """Options of the engine."""
        options: Setting = json.loads(self.point.setting)
        return options


def calibratable() -> list[str]:
    """Return the names of the engines that can be calibrated."""
    return [entry.name for entry in engine_entries() if entry.settings]


def require_calibratable(name: str) -> EngineEntry[Any]:
    """Look up an engine that can be calibrated.

    Raises:
        UsageError: There is no such engine, or it cannot be calibrated.
    """
    entry = engine_entry(name)
    if not entry.settings:
        raise UsageError(
            f"The engine {name} has no calibration.",
            hint=f"Engines with calibrations: {' and '.join(calibratable())}.",
        )
    return entry


def calibration_identity(plan: EnginePlan, scoring: Scoring) -> dict[str, JsonValue]:
    """Return the inputs that a calibration and a search must share.

    Options that are not measured are included if they differ from the default.
    """
    graph = plan.needed.get("graph")
    return {
        "engine": plan.entry.name,
        "model": plan.target.model.id,
        "embeddings": plan.target.embeddings.id,
        "graph": None if graph is None else graph.id,
        "query_max_length": scoring.query_max_length,
        "width": scoring.width,
        "dtype": scoring.dtype,
        **({} if plan.index is None else {"index": plan.index}),
        **_other_options(plan),
    }


def _other_options(plan: EnginePlan) -> dict[str, JsonValue]:
    measured = {*plan.entry.settings[0], *plan.entry.amounts, *plan.entry.needs, "index"}
    changed: dict[str, JsonValue] = {
        one.name: getattr(plan.options, one.name)
        for one in plan.entry.describe()
        if one.name not in measured and getattr(plan.options, one.name) != one.default
    }
    return {"options": changed} if changed else {}


def find_calibrations(target: SearchTarget, identity: dict[str, JsonValue]) -> list[Manifest]:
    """Find the calibrations with some inputs, newest last."""
    return [
        one
        for one in target.store.find("calibration", identity)
        if all(one.inputs.get(name) == identity.get(name) for name in ("options", "index"))
    ]


def plan_search(target: SearchTarget, options: SearchOptions) -> EnginePlan:
    """Select an engine and its options. For a recall, a calibration determines the options.

    Without a calibration, an engine that bounds its recall is asked for this recall.

    Raises:
        UsageError: The engine does not support this search, has no calibration for it, or has no
            setting with the recall.
    """
    spec = options.engine
    if spec.recall is None:
        return plan_engine(target, options)
    entry = require_calibratable(spec.name)
    named = with_preset(entry, spec.options)
    amounts = [
        name for name in {**dict.fromkeys(entry.amounts), **entry.settings[0]} if name in named
    ]
    refuse_several_amounts(list(dict.fromkeys([*amounts, "recall"])))
    if entry.bounds_recall and not _calibrations(target, options):
        by_bound = EngineSpec(spec.name, {**named, "recall": spec.recall})
        return plan_engine(target, replace(options, engine=by_bound))
    point = operating_point(target, options)
    by_setting = EngineSpec(spec.name, {**named, **point.setting})
    plan = plan_engine(target, replace(options, engine=by_setting))
    return replace(plan, calibration={"calibration": point.calibration, "recall": spec.recall})


def _calibrations(target: SearchTarget, options: SearchOptions) -> list[Manifest]:
    """Find the calibrations for a search with a recall, newest last.

    Raises:
        UsageError: The recall is not above 0 and at most 1.
    """
    spec = options.engine
    if spec.recall is None or not 0.0 < spec.recall <= 1.0:
        raise UsageError(f"The recall must be above 0 and at most 1, not {spec.recall}.")
    plan = plan_engine(target, replace(options, engine=EngineSpec(spec.name, spec.options)))
    return find_calibrations(target, calibration_identity(plan, options.scoring))


def operating_point(target: SearchTarget, options: SearchOptions) -> OperatingPoint:
    """Find the setting with the fewest evaluations that reaches the recall of the options.

    The newest calibration counts, at the depth nearest to ``k`` on a logarithmic scale.

    Raises:
        UsageError: There is no calibration for this search, or no setting reaches the recall.
    """
    spec = options.engine
    recall = spec.recall or 0.0
    calibrations = _calibrations(target, options)
    model = display_name(target.model)
    set_options = "".join(
        f" -o {escape_shell(f'{name}={value}')}" for name, value in spec.options.items()
    )
    if not calibrations:
        verb = "hype calibrate" if has_queries(target.embeddings) else "hype calibrate QUERIES"
        raise UsageError(
            f"No calibration of {spec.name} for model {model} on "
            f"{display_name(target.embeddings)}.",
            hint=f"Measure it: {verb} "
            f"--engine {escape_shell(spec.name)} --model {escape_shell(model)} "
            f"--embeddings {escape_shell(display_name(target.embeddings))}{set_options}",
        )
    curve = target.store.curve(calibrations[-1].id)
    depth = min({point.k for point in curve}, key=lambda k: abs(np.log(k / options.k)))
    fitting = [point for point in curve if point.k == depth and point.recall >= recall]
    if not fitting:
        best = max(point.recall for point in curve if point.k == depth)
        raise UsageError(
            f"No calibrated setting of {spec.name} reaches a recall of {recall:g} at {depth}; "
            f"the highest is {best:.4f}.",
            hint="Lower the recall, or use exact search.",
        )
    return OperatingPoint(calibrations[-1].id, min(fitting, key=lambda point: point.evaluations))
