"""The view of two runs, query by query."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from hypencli.escaping import escape_csv, escape_json
from hypencli.ops.report.pair_view import (
    ORDERS,
    SIDES,
    Order,
    PairPlan,
    PairView,
    QueryFilter,
    QueryRows,
)
from hypencli.ops.report.pair_view import Side as QuerySide
from hypencli.ops.report.pairs import best_pairs
from hypencli.reporting.contents import Leaderboard
from hypencli.reporting.plots import difference_plot
from hypencli.reporting.tables import comparison_table
from hypencli.serve.page.data import PageData
from hypencli.serve.page.rendering import html

ROWS = 25
"""Queries on a page of the list."""

_SIDES = {"all": "all queries", "gains": "B is better", "losses": "A is better", "ties": "ties"}
_ORDERS = {
    "change": "largest difference",
    "gain": "B's gains first",
    "loss": "A's gains first",
    "a": "best in A",
    "b": "best in B",
    "id": "id of the query",
}

Text = Annotated[str, Query(max_length=1_000)]
Least = Annotated[float, Query(ge=0, le=1e9, allow_inf_nan=False)]


def compare_routes(router: APIRouter, data: PageData) -> None:
    """Add the routes of comparisons."""

    @router.get("/compare")
    def compare(
        a: Text = "",
        b: Text = "",
        qrels: Text = "",
        measure: Text = "",
        text: Text = "",
        least: Least = 0.0,
        side: QuerySide = "all",
        order: Order = "change",
        page: Annotated[int, Query(ge=1, le=10**6)] = 1,
        part: bool = False,
    ) -> Response:
        boards = data.overviews.boards()
        chosen = _chosen(boards, a, b)
        wanted = QueryFilter(text=text, least=least, side=side, order=order)
        state = {"a": a, "b": b, "qrels": qrels, "measure": measure, "text": text}
        state |= {"least": least or None, "side": side, "order": order}
        shown: dict[str, object] = {"pair": None, "state": state}
        if chosen is not None:
            a, b = chosen
            state |= {"a": a, "b": b}
            view = data.pairs.get(PairPlan(a, b, qrels or None, ()))
            shown |= _shown(view, wanted, measure or None, page)
        if part:
            return html("pair.html", **shown)
        return html(
            "compare.html",
            title="Compare",
            view="compare",
            store=data.server.store.root.name,
            boards=boards,
            qrels_names=list(dict.fromkeys(board.qrels for board in boards)),
            sides={name: _SIDES[name] for name in SIDES},
            orders={name: _ORDERS[name] for name in ORDERS},
            **shown,
        )

    @router.get("/page/query")
    def query(
        a: Text, b: Text, query: Text, qrels: Text = "", measure: Text = "", part: bool = False
    ) -> Response:
        view = data.pairs.get(PairPlan(a, b, qrels or None, ()))
        shown = {
            "query": view.query(query, measure or None),
            "pair": view.summary(measure or None),
        }
        if part:
            return html("query_documents.html", **shown)
        store = data.server.store.root.name
        return html("query.html", title=query, view="compare", store=store, **shown)

    @router.get("/page/queries")
    def export(
        a: Text,
        b: Text,
        qrels: Text = "",
        measure: Text = "",
        text: Text = "",
        least: Least = 0.0,
        side: QuerySide = "all",
        order: Order = "change",
        format: Literal["csv", "json"] = "csv",
    ) -> Response:
        view = data.pairs.get(PairPlan(a, b, qrels or None, ()))
        wanted = QueryFilter(text=text, least=least, side=side, order=order)
        return _file(view.export(wanted, measure or None), format)


def _chosen(boards: tuple[Leaderboard, ...], a: str, b: str) -> tuple[str, str] | None:
    """Return the runs to compare: those that are named, else the best two of a leaderboard."""
    if a and b:
        return a, b
    return next(((plan.run_a, plan.run_b) for plan in best_pairs(boards)), None)


def _shown(
    view: PairView, wanted: QueryFilter, measure: str | None, page: int
) -> dict[str, object]:
    """Return what the template of a comparison takes."""
    pair, rows = view.summary(measure), view.rows(wanted, measure)
    pages = max(1, -(-len(rows) // ROWS))
    page = min(page, pages)
    return {
        "pair": pair,
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
        columns = list(QueryRows.COLUMNS)
        lines = [columns, *([one[name] for name in columns] for one in records)]
        text, media_type = "".join(map(escape_csv, lines)), "text/csv; charset=utf-8"
    headers = {
        "Content-Disposition": f'attachment; filename="queries.{format}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(text.encode("utf-8", "replace"), media_type=media_type, headers=headers)
