from __future__ import annotations

import asyncio
import base64
import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hypencli.serve.app import create_app
from hypencli.serve.guard import is_loopback
from hypencli.serve.settings import RequestLimits, Settings
from tests.serve.clients import client_of

TOKEN = "a-secret-of-this-test"


def error_of(response: Any) -> Any:
    return response.json()["error"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil", "", "[x"])
def test_a_name_that_the_server_does_not_have_is_refused(client: TestClient, host: str) -> None:
    response = client.get("/v1/runs", headers={"Host": host})
    assert response.status_code == 421
    assert "--name" in error_of(response)["hint"]


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "192.168.7.7"])
def test_addresses_and_own_names_are_accepted(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
    ids=["other", "null", "other port", "image", "same site"],
)
def test_pages_of_other_sites_may_not_ask(client: TestClient, headers: dict[str, str]) -> None:
    response = client.get("/v1/runs", headers=headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


def test_the_own_page_may_ask_and_links_to_it_may_be_followed(client: TestClient) -> None:
    assert client.get("/v1/runs", headers={"Origin": "http://localhost"}).status_code == 200
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/healthz", headers=followed).status_code == 200
    assert client.post("/v1/sql", headers=followed, json={"sql": "SELECT 1"}).status_code == 403


def test_named_origins_names_and_a_token(finished_study: Path) -> None:
    origin = "https://lab.example"
    who = {"origins": (origin,), "hosts": ("search.example",), "token": TOKEN}
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    basic = {"Authorization": "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()}
    with client_of(finished_study, **who) as client:
        assert client.get("/healthz").status_code == 200
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic ?"}):
            refused = client.get("/v1/runs", headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == 'Basic realm="hype"'
        for headers in (bearer, basic):
            assert client.get("/v1/runs", headers=headers).status_code == 200
        asked = client.get(
            "/v1/runs", headers={**bearer, "Origin": origin, "Host": "search.example"}
        )
        assert asked.headers["access-control-allow-origin"] == origin
        assert client.get("/v1/runs", headers={"Host": "search.example"}).status_code == 401


def test_answers_carry_the_headers_of_a_careful_server(client: TestClient) -> None:
    for path in ("/healthz", "/nowhere", "/v1/search?q="):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers


def test_large_bodies_are_refused_whether_or_not_they_tell_their_size(
    finished_study: Path,
) -> None:
    with client_of(finished_study, limits=RequestLimits(body_bytes=1_000)) as client:
        told = client.post("/v1/search", content=b" " * 1_001)
        untold = client.post("/v1/search", content=(b" " * 400 for _ in range(4)))
    assert told.status_code == untold.status_code == 413
    assert "1,000 bytes" in error_of(told)["message"]


def test_a_body_that_does_not_arrive_ends_the_request(finished_study: Path) -> None:
    app = create_app(Settings(finished_study, limits=RequestLimits(body_seconds=0.05)))
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else await asyncio.Future()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/search",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408


def test_the_log_has_no_questions_unless_asked_for(
    client: TestClient, finished_study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="hypencli.serve")
    for asked in (
        "/v1/search?q=secret",
        "/v1/documents/secret",
        "/secret",
        "/v1/search?q=&k=secret",
    ):
        client.get(asked)
    assert "secret" not in caplog.text
    assert "GET /v1/search 200" in caplog.text
    with client_of(finished_study, model="hyper", log_queries=True) as telling:
        telling.get("/v1/search?q=secret")
    assert "GET /v1/search?q=secret 200" in caplog.text


def test_an_error_of_a_program_is_an_answer_without_its_text(
    finished_study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(finished_study, warm=False))

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("/home/ann/secret")

    with TestClient(app, base_url="http://localhost") as client:
        response = client.get("/broken")
    assert response.status_code == 500
    assert "ann" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "/home/ann/secret" in caplog.text


def test_loopback_addresses() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.8.8.8", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.0.1", "example.org"]))
