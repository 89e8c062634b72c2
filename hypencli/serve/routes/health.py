"""Whether the server runs, and whether it answers questions."""

from __future__ import annotations

from fastapi import APIRouter, Response

from hypencli import __version__
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
        """Tell whether questions are answered: status 503 while too many wait."""
        lane = state.lane
        ready = lane.open and lane.waiting < state.settings.limits.waiting
        response.status_code = 200 if ready else 503
        return ReadyReply(ready=ready, waiting=lane.waiting)

    return router
