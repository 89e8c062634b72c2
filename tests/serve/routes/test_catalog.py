from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import hypencli

READS = [
    *("/v1/models", "/v1/embeddings", "/v1/runs", "/v1/runs/hyper-run", "/v1/measures"),
    *("/v1/compare?a=hyper-run&b=plain-run", "/v1/documents/d3?embeddings=hyper-docs"),
    *("/v1/runs/nope", "/v1/documents/d3", "/v1/search?q=river", "/metrics", "/openapi.json"),
]


def get(client: TestClient, path: str) -> Any:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


def test_lists_are_those_of_the_library(client: TestClient, finished_study: Path) -> None:
    project = hypencli.open_store(finished_study)
    for path, key, listed in (
        ("/v1/models", "data", project.models()),
        ("/v1/embeddings", "embeddings", project.embeddings()),
        ("/v1/runs", "runs", project.runs()),
    ):
        shown = get(client, path)[key]
        assert [(one["id"], one["name"], one["size_bytes"]) for one in shown] == [
            (one.id, one.name, one.size_bytes) for one in listed
        ]
    models = get(client, "/v1/models")["data"]
    assert [(one["has_q_nets"], one["dim"]) for one in models] == [(True, 32), (False, 32)]
    sets = get(client, "/v1/embeddings")["embeddings"]
    assert [[one["name"] for one in each["models"]] for each in sets] == [["hyper"], ["plain"]]


def test_a_run_has_its_measures_and_its_lineage(client: TestClient) -> None:
    run = get(client, "/v1/runs/hyper-run")
    assert (run["engine"], run["k"], run["n_queries"]) == ("exact", 20, 12)
    (values,) = run["measures"].values()
    assert 0 < values["nDCG@10"] <= 1
    assert [one["kind"] for one in run["parents"]] == ["model", "embeddings"]
    assert [one["kind"] for one in run["children"]] == ["evaluation"]


def test_measures_and_comparisons_are_those_of_the_library(
    client: TestClient, finished_study: Path
) -> None:
    project = hypencli.open_store(finished_study)
    (board,) = get(client, "/v1/measures?measures=RR")["leaderboards"]
    (table,) = project.leaderboard(measures=["RR"])
    assert [(one["name"], one["values"]["RR"]) for one in board["runs"]] == [
        (row["run"], row["RR"]) for row in table.to_dicts()
    ]
    compared = project.compare("hyper-run", "plain-run", measures=["RR"])
    (test,) = get(client, "/v1/compare?a=hyper-run&b=plain-run&measures=RR")["tests"]
    assert test["difference"] == compared.tests[0].difference
    assert test["p_values"] == compared.tests[0].p_values


def test_a_document_is_read_by_its_id(client: TestClient) -> None:
    hit = get(client, "/v1/search?q=river&k=1")["hits"][0]
    document = get(client, f"/v1/documents/{hit['doc_id']}")
    assert document["text"] == hit["text"]
    missing = client.get("/v1/documents/no/such/document")
    assert missing.status_code == 404
    assert "no document 'no/such/document'" in missing.json()["error"]["message"]


@pytest.mark.parametrize("path", READS)
def test_no_answer_has_a_path_of_the_machine(
    client: TestClient, finished_study: Path, path: str
) -> None:
    text = client.get(path).text
    assert str(finished_study) not in text
    assert not re.search(r"[\"' (:](?:/tmp|/home|/root|/work|/Users)/", text)
