"""The view of two runs, query by query."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from hypencli.escaping import escape_csv, escape_json
from hypencli.ops.report.pair_view import Order, PairView, QueryRows
from hypencli.ops.report.pair_view import Side as QuerySide
from hypencli.ops.report.pairs import best_pairs
from hypencli.reporting.contents import Leaderboard
from hypencli.reporting.plots import difference_plot
from hypencli.reporting.tables import comparison_table
from hypencli.serve.page.data import PageData
from hypencli.serve.page.fields import PairExport, PairPage, QueryPage
from hypencli.serve.page.rendering import html

ROWS = 25
"""Queries on a page of the list."""

_SIDES: dict[QuerySide, str] = {
    "all": "all queries",
    "gains": "B is better",
    "losses": "A is better",
    "ties": "ties",
}
_ORDERS: dict[Order, str] = {
    "change": "largest difference",
    "gain": "B's gains first",
    "loss": "A's gains first",
    "a": "best in A",
    "b": "best in B",
    "id": "id of the query",
}


def compare_routes(router: APIRouter, data: PageData) -> None:
    """Add the routes of comparisons."""

    @router.get("/compare")
    def compare(asked: Annotated[PairPage, Query()]) -> Response:
        boards = data.overviews.boards()
        chosen = _chosen(boards, asked)
        shown: dict[str, Any] = {"pair": None, "asked": asked}
        if chosen is not None:
            shown |= _shown(data.pairs.get(asked.plan(*chosen)), asked)
        if asked.part:
            return html("pair.html", **shown)
        return html(
            "compare.html",
            title="Compare",
            view="compare",
            store=data.server.store.root.name,
            boards=boards,
            qrels_names=list(dict.fromkeys(board.qrels for board in boards)),
            sides=_SIDES,
            orders=_ORDERS,
            **shown,
        )

    @router.get("/page/query")
    def query(asked: Annotated[QueryPage, Query()]) -> Response:
        view = data.pairs.get(asked.plan(asked.a, asked.b))
        measure = asked.measure or None
        shown = {"query": view.query(asked.query, measure), "pair": view.summary(measure)}
        if asked.part:
            return html("query_documents.html", **shown)
        store = data.server.store.root.name
        return html("query.html", title=asked.query, view="compare", store=store, **shown)

    @router.get("/page/queries")
    def export(asked: Annotated[PairExport, Query()]) -> Response:
        view = data.pairs.get(asked.plan(asked.a, asked.b))
        return _file(view.export(asked.filter, asked.measure or None), asked.format)


def _chosen(boards: tuple[Leaderboard, ...], asked: PairPage) -> tuple[str, str] | None:
    """Return the runs to compare: those that are named, else the best two of a leaderboard."""
    if asked.a and asked.b:
        return asked.a, asked.b
    return next(((plan.run_a, plan.run_b) for plan in best_pairs(boards)), None)


def _shown(view: PairView, asked: PairPage) -> dict[str, Any]:
    """Return what the template of a comparison takes."""
    measure = asked.measure or None
    pair, rows = view.summary(measure), view.rows(asked.filter, measure)
    pages = max(1, -(-len(rows) // ROWS))
    page = min(asked.page, pages)
    return {
        "pair": pair,
        "state": {**asked.address_fields(), "a": pair.run_a, "b": pair.run_b},
        "measures": view.measures,
        "drawing": difference_plot(pair),
        "tests": comparison_table(pair),
        "rows": rows[(page - 1) * ROWS : page * ROWS],
        "n_rows": len(rows),
        "page": page,
        "pages": pages,
        "has_text": view.documents.has_text,
    }


def _file(rows: QueryRows, format: str) -> Response:
    """Return the rows as a file to save."""
    records = rows.to_dicts()
    if format == "json":
        text, media_type = f"{escape_json(records)}\n", "application/json"
    else:
        lines: list[list[object]] = [[*QueryRows.COLUMNS], *([*one.values()] for one in records)]
        text = "".join(escape_csv(line) for line in lines)
        media_type = "text/csv; charset=utf-8"
    headers = {
        "Content-Disposition": f'attachment; filename="queries.{format}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(text.encode("utf-8", "replace"), media_type=media_type, headers=headers)
