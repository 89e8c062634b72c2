"""The server as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from hypencli._version import __version__
from hypencli.serve import page
from hypencli.serve.asking import opened_lane
from hypencli.serve.failures import add_error_handlers
from hypencli.serve.guard import Guard
from hypencli.serve.routes.catalog import catalog_routes
from hypencli.serve.routes.health import health_routes
from hypencli.serve.routes.passages import passage_routes
from hypencli.serve.routes.search import search_routes
from hypencli.serve.routes.sql import sql_routes
from hypencli.serve.schemas import ErrorBody
from hypencli.serve.settings import Settings
from hypencli.serve.state import ServerState
from hypencli.serve.tools import http_routes, make_tools


def create_app(settings: Settings) -> FastAPI:
    """Make the application of a store.

    Args:
        settings: What to answer from, and to whom.

    Raises:
        StoreNotFound: There is no store.
    """
    state = ServerState.open(settings)
    tools = make_tools(state, sql=settings.sql)
    tool_routes = http_routes(tools, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened_lane(state), tools.session_manager.run():
            yield

    app = FastAPI(
        title="hype",
        version=__version__,
        description="A project store of Hypencoder retrieval, over HTTP.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}},
    )
    app.state.server = state
    add_error_handlers(app)
    parts = (health_routes, search_routes, catalog_routes, passage_routes, sql_routes, page.routes)
    for routes in parts:
        app.include_router(routes(state))
    app.router.routes.extend(tool_routes)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type"),
        )
    app.add_middleware(Guard, settings=settings, metrics=state.metrics)
    return app
