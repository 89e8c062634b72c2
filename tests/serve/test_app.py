"""Requests that are made from the server's own description of its requests."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from starlette.testclient import TestClient

import hypencli

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance


def operations(client: TestClient) -> list[tuple[str, Any]]:
    described = client.get("/openapi.json").json()
    described["paths"] = {
        path: methods for path, methods in described["paths"].items() if path.startswith("/v1/")
    }
    schema = schemathesis.openapi.from_dict(described)
    return [(each.ok().label, each.ok()) for each in schema.get_all_operations()]


def test_requests_of_the_description_get_answers_of_the_description(client: TestClient) -> None:
    walked = []
    for label, operation in operations(client):

        @settings(max_examples=5, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(
                base_url="http://localhost",
                session=client,
                checks=[not_a_server_error, response_schema_conformance],
            )

        ask()
        walked.append(label)
    assert {"GET /v1/search", "POST /v1/search", "POST /v1/rerank", "POST /v1/sql"} <= set(walked)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_loads_scripts_from_elsewhere(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_new_artifacts_are_found_and_removed_ones_are_told(
    study: Path, tiny_collection: Path
) -> None:
    from tests.serve.clients import client_of

    project = hypencli.open_store(study)
    with client_of(study, model="hyper") as client:
        asked = {"q": "bread", "k": 1, "embeddings": "again"}
        assert client.get("/v1/search", params=asked).status_code == 404
        corpus = tiny_collection / "corpus.jsonl"
        project.encode(corpus, model="hyper", limit=20, name="again")
        assert client.get("/v1/search", params=asked).json()["n_documents"] == 20
        project.store.remove("again")
        gone = client.get("/v1/search", params=asked)
        assert gone.status_code == 404
        assert gone.json()["error"]["type"] == "ArtifactNotFound"
        project.store.remove("hyper-run", force=True)
        assert [run["name"] for run in client.get("/v1/runs").json()["runs"]] == ["plain-run"]
