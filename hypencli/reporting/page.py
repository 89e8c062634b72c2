"""Render a report as one HTML page with its own styles and script, which loads nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from hypencli.reporting import plots, tables
from hypencli.reporting.contents import HtmlReport
from hypencli.reporting.curves import about_curves, curve_plots
from hypencli.reporting.lineage import LineageIndex, lineage_tables
from hypencli.reporting.lineage_graph import lineage_graph
from hypencli.reporting.rendering import source_of, template_environment

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

    The Content-Security-Policy of the page allows only its own style sheet and script.
    """
    from markupsafe import Markup

    style, script = source_of("style.css"), source_of("sort.js")
    template = template_environment().get_template("page.html")
    return template.render(
        report=report,
        sections=sections_of(report),
        counted=counted(report.counts),
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        **report_parts(report),
    )


def report_parts(report: HtmlReport) -> dict[str, Any]:
    """Build the tables and plots that the templates of the sections take."""
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
            (one, plots.cost_plots(one), tables.costs_table(one, anchors)) for one in report.costs
        ],
        "curves": [(one, curve_plots(one), about_curves(one)) for one in report.curves],
        "lineage": lineage_tables(index),
        "lineage_drawing": lineage_graph(report.lineage),
        "recipes": index.recipes,
    }


def sections_of(report: HtmlReport) -> list[tuple[str, str]]:
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


def counted(counts: Mapping[str, int]) -> str:
    """Describe the content of the store: the number of artifacts of each kind."""
    parts = [
        f"{counts[kind]:,} {one if counts[kind] == 1 else many}"
        for kind, (one, many) in _COUNTED.items()
        if counts.get(kind)
    ]
    return ", ".join(parts) or "Nothing in the store yet"


def _policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that allows this style sheet and script, and no request."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
