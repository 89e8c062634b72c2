"""The browser page of the server."""

from __future__ import annotations

from fastapi import APIRouter

from hypencli.serve.state import ServerState


def routes(state: ServerState) -> APIRouter:
    """Return the routes of the page.

    Args:
        state: What the server answers from.
    """
    return APIRouter()
