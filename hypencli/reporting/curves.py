"""Training curves: their plots, and their last values in a sentence."""

from __future__ import annotations

from hypencli.reporting.axes import short
from hypencli.reporting.contents import ModelCurves
from hypencli.reporting.plots import Plot, curve_plot


def curve_plots(model: ModelCurves) -> list[Plot]:
    """Plot every curve that has at least two points."""
    drawn = (curve_plot(name, points) for name, points in model.curves.items())
    return [plot for plot in drawn if plot is not None]


def about_curves(model: ModelCurves) -> str:
    """Describe curves: the recipe, the last point of each curve, and values that are not finite."""
    said = [f"recipe {model.recipe}"] if model.recipe else []
    said += ["not finished"] if model.unfinished else []
    for name, points in model.curves.items():
        if points:
            step, value = points[-1]
            said.append(f"{name} {short(value)} at step {step:,}")
    said += [f"{count:,} values of {name} not finite" for name, count in model.not_finite.items()]
    return "; ".join(said)
