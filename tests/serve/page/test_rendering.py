"""Headers, files and errors of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from hypencli.serve.page.rendering import assets

VIEWS = ["/", "/?q=river", "/compare", "/runs", "/document?id=d0&embeddings=hyper-docs"]
PARTS = ["/page/query?a=hyper-run&b=plain-run&query=q0", "/compare?part=1", "/runs?part=1"]


@pytest.mark.parametrize("view", [*VIEWS, *PARTS])
def test_a_view_loads_only_files_of_the_server(
    client: TestClient, finished_study: Path, view: str
) -> None:
    response = client.get(view)
    assert response.status_code == 200
    policy = dict(
        rule.strip().split(" ", 1)
        for rule in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|https?://", response.text)
    for address in re.findall(r'(?:src|href)="([^"]*)"', response.text):
        assert address.startswith(("/", "#", "data:,"))
        if address.startswith("/page/static/"):
            assert client.get(address).status_code == 200
    assert str(finished_study.parent) not in response.text


def test_files_are_kept_by_browsers_until_they_change(client: TestClient) -> None:
    for name, asset in assets().items():
        response = client.get(f"/page/static/{name}?v={asset.version}")
        assert response.content == asset.content
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["x-content-type-options"] == "nosniff"
    assert client.get("/page/static/../rendering.py").status_code == 404
    assert client.get("/page/static/none.js").status_code == 404


@pytest.mark.parametrize(
    ("address", "status", "says"),
    [
        ("/compare?a=none&b=plain-run", 404, "none"),
        ("/compare?a=hyper-run&b=plain-run&measure=P@99", 400, "They have: "),
        ("/compare?least=-1", 400, "least: Input should be greater than or equal to 0"),
        ("/compare?side=x", 400, "side: Input should be"),
        ("/document?id=none&embeddings=hyper-docs", 404, "has no document"),
        ("/page/query?a=hyper-run&b=plain-run&query=none", 400, "no common judged query"),
        ("/?q=river&model=none", 404, "none"),
    ],
    ids=["run", "measure", "least", "side", "document", "query", "model"],
)
def test_an_error_is_a_page_or_a_part_of_one(
    client: TestClient, address: str, status: int, says: str
) -> None:
    page, part = client.get(address), client.get(f"{address}&part=1")
    assert page.status_code == part.status_code == status
    for response in (page, part):
        assert response.headers["content-type"].startswith("text/html")
        assert says in response.text.replace("&#39;", "'")
    assert "<html" in page.text
    assert "<html" not in part.text


def test_empty_fields_of_a_form_have_their_defaults(client: TestClient) -> None:
    assert client.get("/?q=&k=&model=&model_b=").status_code == 200
    assert client.get("/compare?a=&b=&least=&side=&order=&text=").status_code == 200
