"""The view of all runs: leaderboards, recall against cost, curves, lineage, current work."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from hypencli.ops.report.overview import RunFilter
from hypencli.reporting.page import counted, report_parts, sections_of
from hypencli.serve.page.data import PageData
from hypencli.serve.page.fields import RunsFields
from hypencli.serve.page.now import now_values
from hypencli.serve.page.rendering import html


def runs_routes(router: APIRouter, data: PageData) -> None:
    """Add the route of the view."""

    @router.get("/runs")
    def runs(asked: Annotated[RunsFields, Query()]) -> Response:
        wanted = RunFilter(
            qrels=asked.qrels, engine=asked.engine, model=asked.model, text=asked.text
        )
        report = data.overviews.filtered(wanted)
        shown = {"report": report, "sections": sections_of(report), **report_parts(report)}
        if asked.part:
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
