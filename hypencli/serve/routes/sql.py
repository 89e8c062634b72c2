"""The read-only SQL of ``hype report --sql``: ``/v1/sql``, where the server allows it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from hypencli.ops.evaluation.leaderboard import sql
from hypencli.private_paths import PathShortener
from hypencli.serve.asking import while_wanted
from hypencli.serve.failures import Refused
from hypencli.serve.schemas import SqlBody, SqlReply
from hypencli.serve.state import ServerState


def sql_routes(state: ServerState) -> APIRouter:
    """Return the route of SQL queries, one of which runs at a time."""
    router = APIRouter(prefix="/v1", tags=["sql"])
    one_at_a_time = asyncio.Lock()

    async def run(statement: str) -> SqlReply:
        async with one_at_a_time:
            return await asyncio.to_thread(run_sql, state, statement)

    @router.post("/sql")
    async def query(request: Request, body: SqlBody) -> SqlReply:
        """Run a read-only query of the catalog; status 403 unless the server allows it."""
        if not state.settings.sql:
            raise Refused(403, "This server answers no SQL.", hint="Start it with --sql.")
        return await while_wanted(state, request, run(body.sql))

    return router


def run_sql(state: ServerState, statement: str) -> SqlReply:
    """Run a query of the catalog within the limits of the server.

    Raises:
        CatalogQueryError: The statement is not a query, or exceeds a limit.
    """
    limits, short = state.settings.limits, PathShortener()
    table = sql(state.store, statement, max_rows=limits.sql_rows, max_seconds=limits.sql_seconds)
    rows = [[short.value(value) for value in row] for row in table.rows]
    return SqlReply(columns=list(table.columns), rows=rows)
