"""Whether the server runs, and whether it answers questions."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from hypencli._version import __version__
from hypencli.serve.schemas import HealthReply, ReadyReply
from hypencli.serve.state import ServerState


def health_routes(state: ServerState) -> APIRouter:
    """Return the routes for those who watch the server."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> HealthReply:
        """Tell that the server runs."""
        return HealthReply(version=__version__)

    @router.get("/readyz")
    async def readyz(response: Response) -> ReadyReply:
        """Tell whether questions are answered; not (503) while a model loads or too many wait."""
        lane = state.lane
        ready = lane.open and state.warmed.is_set() and lane.waiting < state.settings.limits.waiting
        response.status_code = 200 if ready else 503
        return ReadyReply(ready=ready, waiting=lane.waiting)

    @router.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        """Return counts and times in the text format of Prometheus."""
        return PlainTextResponse(state.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
