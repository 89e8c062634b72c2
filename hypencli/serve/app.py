"""The server as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from hypencli import __version__
from hypencli.serve import page
from hypencli.serve.failures import add_error_handlers
from hypencli.serve.routes.catalog import catalog_routes
from hypencli.serve.routes.health import health_routes
from hypencli.serve.routes.search import search_routes
from hypencli.serve.schemas import ErrorBody
from hypencli.serve.settings import Settings
from hypencli.serve.state import ServerState


def create_app(settings: Settings) -> FastAPI:
    """Make the application of a store.

    Args:
        settings: What to answer from, and to whom.

    Raises:
        StoreNotFound: There is no store.
    """
    state = ServerState.open(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state.lane.start()
        try:
            yield
        finally:
            await state.lane.close()

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
    for routes in (health_routes, search_routes, catalog_routes, page.routes):
        app.include_router(routes(state))
    return app
