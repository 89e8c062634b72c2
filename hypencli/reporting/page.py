"""Render a report as one HTML page with its own styles and script, which loads nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from hypencli.escaping import escape_terminal
from hypencli.reporting import plots, tables, text
from hypencli.reporting.axes import short
from hypencli.reporting.contents import HtmlReport, ModelCurves, MovedDocument, SearchCosts
from hypencli.reporting.lineage import LineageIndex, lineage_tables

if TYPE_CHECKING:
    from jinja2 import Environment

SECTIONS = {
    "leaderboards": "Leaderboards",
    "pairs": "Query by query",
    "costs": "Recall against cost",
    "curves": "Training",
    "lineage": "Lineage",
}
"""Sections in order: anchor -> title. The keys of a report's ``remarks`` are these anchors."""

_COUNTED = {
    "run": ("run", "runs"),
    "model": ("model", "models"),
    "embeddings": ("embedding set", "embedding sets"),
    "graph": ("neighbour graph", "neighbour graphs"),
}


def render_page(report: HtmlReport) -> str:
    """Render a report as HTML.

    The templates remove control characters and direction marks from all values, and escape them.
    The Content-Security-Policy of the page allows only its own style sheet and script.
    """
    from markupsafe import Markup

    style, script = _source("style.css"), _source("sort.js")
    template = _environment().get_template("page.html")
    return template.render(
        report=report,
        sections=_sections(report),
        counted=_counted(report.counts),
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        **_parts(report),
    )


def _parts(report: HtmlReport) -> dict[str, Any]:
    """Build the tables and plots of the sections."""
    index = LineageIndex(report.lineage)
    anchors = index.anchors
    return {
        "anchors": anchors,
        "leaderboards": [tables.leaderboard_table(one, anchors) for one in report.leaderboards],
        "pairs": [
            (pair, plots.difference_plot(pair), tables.comparison_table(pair))
            for pair in report.pairs
        ],
        "costs": [
            (one, _cost_plots(one), tables.costs_table(one, anchors)) for one in report.costs
        ],
        "curves": [(one, _curve_plots(one), _about_curves(one)) for one in report.curves],
        "lineage": lineage_tables(index),
        "recipes": index.recipes,
    }


def _sections(report: HtmlReport) -> list[tuple[str, str]]:
    """Return anchor and title of the sections with content, and always the leaderboards."""
    filled = {
        "leaderboards": True,
        "pairs": report.pairs,
        "costs": report.costs,
        "curves": report.curves,
        "lineage": report.lineage.artifacts,
    }
    return [
        (anchor, title)
        for anchor, title in SECTIONS.items()
        if filled[anchor] or report.remarks.get(anchor)
    ]


def _counted(counts: Mapping[str, int]) -> str:
    """Describe the content of the store: the number of artifacts of each kind."""
    parts = [
        f"{counts[kind]:,} {one if counts[kind] == 1 else many}"
        for kind, (one, many) in _COUNTED.items()
        if counts.get(kind)
    ]
    return ", ".join(parts) or "Nothing in the store yet"


def _cost_plots(costs: SearchCosts) -> list[plots.Plot]:
    """Plot recall by time and by evaluations; return nothing if all searches are exact."""
    if all(search.engine == "exact" for search in costs.searches):
        return []
    drawn = (plots.cost_plot(costs, by=by) for by in ("time", "evaluations"))
    return [plot for plot in drawn if plot is not None]


def _curve_plots(model: ModelCurves) -> list[plots.Plot]:
    drawn = (plots.curve_plot(name, points) for name, points in model.curves.items())
    return [plot for plot in drawn if plot is not None]


def _about_curves(model: ModelCurves) -> str:
    """Describe curves: the recipe, the last point of each curve, and values that are not finite."""
    said = [f"recipe {model.recipe}"] if model.recipe else []
    said += ["not finished"] if model.unfinished else []
    for name, points in model.curves.items():
        if points:
            step, value = points[-1]
            said.append(f"{name} {short(value)} at step {step:,}")
    said += [f"{count:,} values of {name} not finite" for name, count in model.not_finite.items()]
    return "; ".join(said)


def _movement(document: MovedDocument) -> str:
    """Format the change of a document's rank from A to B: ``+3``, ``−2``, ``new``, ``gone``."""
    if document.rank_a is None or document.rank_b is None:
        return "new" if document.rank_a is None else "gone"
    up = document.rank_a - document.rank_b
    return f"+{up:,}" if up > 0 else f"{up:,}".replace("-", "−")


_FILTERS: dict[str, Callable[..., str]] = {
    "decimals": text.decimals,
    "signed": text.signed,
    "whole": text.whole,
    "movement": _movement,
}


@cache
def _environment() -> Environment:
    """Return the template environment, which escapes all values."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hypencli.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    return environment


def _source(name: str) -> str:
    """Read a part of the page that is not a template."""
    place = resources.files("hypencli.reporting") / "templates" / name
    return place.read_text(encoding="utf-8")


def _finalize(value: object) -> object:
    """Remove control characters and direction marks from a value; keep markup of templates.

    The page isolates such text (``bdi``), so that right-to-left letters remain readable.
    """
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return escape_terminal(value)
    return value


def _policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that allows this style sheet and script, and no request."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
