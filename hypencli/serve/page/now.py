"""Work in progress, told to the page as it advances (server-sent events)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from hypencli.ops.report.current_work import WorkState, current_curves, current_work, work_state
from hypencli.reporting.curves import about_curves, curve_plots
from hypencli.serve.failures import Refused
from hypencli.serve.page.data import LIMITS, PageData
from hypencli.serve.page.rendering import rendered

WATCHERS = 32
"""Most pages that are told at a time."""

SECONDS_BETWEEN = 1.0
"""Time between two looks at the store."""

STREAM_SECONDS = 300.0
"""Longest time of a stream. The browser then connects again."""


def now_values(data: PageData) -> dict[str, Any]:
    """Return what the template of current work takes."""
    store = data.server.store
    curves = current_curves(store, points=LIMITS.points)
    return {
        "works": current_work(store),
        "trainings": [(one, curve_plots(one), about_curves(one)) for one in curves],
    }


def now_routes(router: APIRouter, data: PageData) -> None:
    """Add the stream of current work."""
    watchers: set[object] = set()

    @router.get("/page/now")
    async def now(request: Request) -> StreamingResponse:
        if len(watchers) >= WATCHERS:
            raise Refused(503, f"{WATCHERS} pages watch this store; no more are told.")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        stream = _events(request, data, watchers)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _events(request: Request, data: PageData, watchers: set[object]) -> AsyncIterator[str]:
    """Yield the current work at once, and again whenever it changed."""
    watcher, told = object(), request.headers.get("last-event-id")
    watchers.add(watcher)
    end = time.monotonic() + STREAM_SECONDS
    try:
        yield "retry: 500\n\n"
        while time.monotonic() < end and not data.server.ending.is_set():
            if await request.is_disconnected():
                break
            state = await asyncio.to_thread(work_state, data.server.store)
            if (name := _name(state)) != told:
                told = name
                yield await asyncio.to_thread(_event, data, state)
            await asyncio.sleep(SECONDS_BETWEEN)
    finally:
        watchers.discard(watcher)


def _name(state: WorkState) -> str:
    """Return the name of an event, which a browser sends when it connects again."""
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def _event(data: PageData, state: WorkState) -> str:
    told = {"html": rendered("now.html", **now_values(data)), "works": [one[0] for one in state]}
    return f"id: {_name(state)}\ndata: {json.dumps(told)}\n\n"
