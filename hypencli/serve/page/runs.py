"""The view of all runs: leaderboards, recall against cost, curves, lineage, current work."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from hypencli.ops.report.overview import RunFilter
from hypencli.reporting.page import counted, report_parts, sections_of
from hypencli.serve.page.data import PageData
from hypencli.serve.page.now import now_values
from hypencli.serve.page.rendering import html

Text = Annotated[str, Query(max_length=1_000)]


def runs_routes(router: APIRouter, data: PageData) -> None:
    """Add the route of the view."""

    @router.get("/runs")
    def runs(
        qrels: Text = "",
        engine: Text = "",
        model: Text = "",
        text: Text = "",
        part: bool = False,
    ) -> Response:
        wanted = RunFilter(qrels=qrels, engine=engine, model=model, text=text)
        report = data.overviews.filtered(wanted)
        shown = {"report": report, "sections": sections_of(report), **report_parts(report)}
        if part:
            return html("overview.html", **shown)
        return html(
            "runs.html",
            title="Runs",
            view="runs",
            store=data.server.store.root.name,
            counted=counted(report.counts),
            choices=data.overviews.choices(),
            wanted=wanted,
            **now_values(data),
            **shown,
        )
