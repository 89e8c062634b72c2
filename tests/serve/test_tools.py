from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

import hypencli
from hypencli.serve.app import create_app
from hypencli.serve.asking import opened_lane
from hypencli.serve.settings import Settings
from hypencli.serve.state import ServerState
from hypencli.serve.tools import make_tools

Ask = Callable[..., Any]


def with_tools(store: Path, test: Callable[[Client], Awaitable[None]], *, sql: bool = True) -> None:
    """Run a test with the SDK's client, connected to the tools of a store."""

    async def go() -> None:
        state = ServerState.open(Settings(store, model="hyper", warm=False))
        async with opened_lane(state), Client(make_tools(state, sql=sql)) as client:
            await test(client)

    asyncio.run(go())


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def error_of(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)


def test_the_tools_have_typed_schemas_and_change_nothing(finished_study: Path) -> None:
    async def test(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        named = ["compare_runs", "get_document", "list_runs", "search", "sql"]
        assert sorted(tools) == named
        for tool in tools.values():
            assert tool.description
            assert tool.output_schema
            assert tool.annotations.read_only_hint
        assert tools["search"].input_schema["properties"]["k"]["maximum"] == 50

    with_tools(finished_study, test)


def test_answers_are_those_of_the_library(finished_study: Path) -> None:
    project = hypencli.open_store(finished_study)

    async def test(client: Client) -> None:
        text = "what is a river"
        answer = await call(client, "search", query=text, k=3)
        library = project.query(text, k=3, model="hyper")
        assert [(one["doc_id"], one["score"]) for one in answer["hits"]] == [
            (hit.doc_id, hit.score) for hit in library.hits
        ]
        document = await call(client, "get_document", id=library.hits[0].doc_id, start=3)
        assert document["text"] == library.hits[0].text[3:]
        assert document["total"] == len(library.hits[0].text)
        listed = await call(client, "list_runs", contains="plain", limit=1)
        assert ([one["name"] for one in listed["runs"]], listed["total"]) == (["plain-run"], 1)
        compared = await call(client, "compare_runs", a="hyper-run", b="plain-run", measures=["RR"])
        tests = project.compare("hyper-run", "plain-run", measures=["RR"]).tests
        assert compared["tests"][0]["p_values"] == tests[0].p_values
        assert compared["verdict"]
        rows = await call(client, "sql", statement="SELECT i FROM range(300) AS r(i)")
        assert (len(rows["rows"]), rows["total"]) == (200, 300)

    with_tools(finished_study, test)


def test_errors_are_told_to_the_agent_without_paths(finished_study: Path) -> None:
    async def test(client: Client) -> None:
        assert "no document 'zz'" in await error_of(client, "get_document", id="zz")
        assert "The question is empty" in await error_of(client, "search", query=" ")
        assert "less than or equal to 50" in await error_of(client, "search", query="x", k=51)
        assert "No model" in await error_of(client, "search", query="x", model=str(finished_study))
        assert "got: DROP" in await error_of(client, "sql", statement="DROP TABLE runs")
        assert str(finished_study.parent) not in await error_of(client, "list_runs", limit=0)

    with_tools(finished_study, test)


def test_over_http_the_tools_lie_behind_the_guard(finished_study: Path) -> None:
    async def go() -> None:
        app = create_app(Settings(finished_study, model="hyper", warm=False))
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http,
        ):
            url = "http://localhost/mcp"
            async with Client(streamable_http_client(url, http_client=http)) as client:
                names = [tool.name for tool in (await client.list_tools()).tools]
                assert "search" in names
                assert "sql" not in names
                assert (await call(client, "search", query="bread", k=1))["hits"]
            evil = await http.post("/mcp", headers={"Origin": "https://evil.example"}, json={})
            assert evil.status_code == 403

    asyncio.run(go())


@pytest.mark.timeout(120)
def test_the_command_answers_over_standard_streams(finished_study: Path) -> None:
    """The protocol by hand: one process, whose output is nothing but the protocol."""
    lines: list[dict[str, Any]] = [
        {
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        },
        {"method": "notifications/initialized"},
        {
            "id": 2,
            "method": "tools/call",
            "params": {"name": "search", "arguments": {"query": "bread", "k": 1}},
        },
    ]
    command = [sys.executable, "-m", "hypencli", "mcp", "--store", str(finished_study)]
    with subprocess.Popen(
        [*command, "--model", "hyper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in lines:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **line}) + "\n")
        process.stdin.flush()
        replies = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdin.close()
        assert process.wait(60) == 0
    by_id = {reply["id"]: reply["result"] for reply in replies}
    assert by_id[1]["serverInfo"]["name"] == "hype"
    assert by_id[2]["structuredContent"]["hits"][0]["rank"] == 1
