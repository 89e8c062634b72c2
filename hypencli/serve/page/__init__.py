"""The browser page of the server: search, comparison of runs, and the runs of the store."""

from __future__ import annotations

from fastapi import APIRouter

from hypencli.serve.page.compare import compare_routes
from hypencli.serve.page.data import PageData
from hypencli.serve.page.now import now_routes
from hypencli.serve.page.rendering import PageRoute, asset_routes
from hypencli.serve.page.runs import runs_routes
from hypencli.serve.page.search import search_routes
from hypencli.serve.state import ServerState


def routes(state: ServerState) -> APIRouter:
    """Return the routes of the page.

    Args:
        state: What the server answers from.
    """
    data = PageData.of(state)
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    for some in (search_routes, compare_routes, runs_routes, now_routes):
        some(router, data)
    asset_routes(router)
    return router
