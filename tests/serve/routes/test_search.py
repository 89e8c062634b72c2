from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hypencli.serve.settings import RequestLimits
from tests.serve.clients import client_of

QUESTIONS = [
    *("what is a river", "bread", "old bank near the stream and the bridge", "moon and sun"),
    *("a", "how to bake bread with flour and yeast in an oven", "music of the violin", "river"),
]


def bits(hits: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    return [(hit["rank"], hit["doc_id"], float(hit["score"]).hex()) for hit in hits]


@pytest.mark.parametrize(
    ("model", "engine"), [("hyper", "exact"), ("hyper", "guided"), ("plain", "exact")]
)
def test_scores_of_questions_asked_together_are_those_of_the_command(
    client: TestClient, finished_study: Path, hype: Callable[..., Any], model: str, engine: str
) -> None:
    place = ["--model", model, "--engine", engine, "--store", finished_study, "--json"]
    alone = [hype("query", text, "--k", 7, *place).json for text in QUESTIONS]
    how = {"model": model, "engine": engine, "k": 7}
    together = client.post("/v1/search", json={"queries": QUESTIONS, **how}).json()["answers"]
    assert [bits(one["hits"]) for one in together] == [bits(one["hits"]) for one in alone]
    assert [one["evaluations"] for one in together] == [one["evaluations"] for one in alone]
    assert [one["query"] for one in together] == QUESTIONS
    assert {one["batch"] for one in together} == {len(QUESTIONS)}


def test_requests_of_several_clients_share_a_pass(client: TestClient) -> None:
    def ask(text: str) -> Any:
        return client.get("/v1/search", params={"q": text, "k": 3}).json()

    with ThreadPoolExecutor(len(QUESTIONS)) as pool:
        together = list(pool.map(ask, QUESTIONS))
    assert [one["query"] for one in together] == QUESTIONS
    assert [bits(one["hits"]) for one in together] == [
        bits(ask(text)["hits"]) for text in QUESTIONS
    ]


def test_an_answer_tells_where_it_comes_from(client: TestClient) -> None:
    asked = {"q": "what is a river", "k": 2, "recall": 0.9}
    reply = client.get("/v1/search", params=asked).json()
    assert reply["model"]["name"] == "hyper"
    assert reply["embeddings"]["name"] == "hyper-docs"
    assert (reply["engine"], reply["k"], reply["n_documents"]) == ("guided", 2, 120)
    assert 0.9 <= reply["recall_bound"] <= 1
    assert 0 < reply["evaluations"] <= 120
    assert [hit["rank"] for hit in reply["hits"]] == [1, 2]
    assert all(hit["text"] for hit in reply["hits"])
    parts = reply["seconds"]
    assert sum(value for name, value in parts.items() if name != "total") <= parts["total"] * 1.01


def test_each_question_of_a_request_may_have_options_of_its_own(client: TestClient) -> None:
    own = {"query": "bread", "k": 1, "model": "plain", "embeddings": "plain-docs"}
    guided = {"query": "bread", "engine": "guided", "budget": 40}
    body = {"queries": ["bread", own, guided], "k": 3, "with_texts": False}
    first, second, third = client.post("/v1/search", json=body).json()["answers"]
    assert [len(one["hits"]) for one in (first, second, third)] == [3, 1, 3]
    assert second["model"]["name"] == "plain"
    assert third["evaluations"] == 40
    assert first["hits"][0]["text"] is None


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"q": ""}, 400, "The question is empty"),
        ({"q": " \t"}, 400, "The question is empty"),
        ({"q": "x", "k": 0}, 422, "greater than or equal to 1"),
        ({"q": "x", "k": 1001}, 400, "the limit of this server is 1,000"),
        ({"q": "x", "engine": "nope"}, 400, "There is no engine 'nope'"),
        ({"q": "x", "model": "nope"}, 404, "No model has the id or name 'nope'"),
        ({"q": "x", "embeddings": "plain-docs"}, 400, "another passage encoder"),
        ({"q": "x", "engine": "hnsw"}, 400, "hyper makes q-nets"),
        ({"q": "x", "budget": 5}, 400, "no option 'budget'|option of guided"),
        ({}, 422, "query.q: Field required"),
    ],
    ids=lambda value: None if isinstance(value, int) else str(value)[:30],
)
def test_what_is_wrong_is_told(
    client: TestClient, asked: dict[str, Any], status: int, says: str
) -> None:
    response = client.get("/v1/search", params=asked)
    assert response.status_code == status
    error = response.json()["error"]
    assert any(part in error["message"] for part in says.split("|")), error
    assert error.keys() == {"type", "message", "hint", "exit_code"}


def test_folders_and_names_on_the_hub_are_no_models(
    client: TestClient, finished_study: Path, tiny_backbone: Path
) -> None:
    before = sorted((finished_study / "models").iterdir())
    for name in (str(tiny_backbone), "owner/model", "../models", "~"):
        assert client.get("/v1/search", params={"q": "x", "model": name}).status_code == 404
    assert sorted((finished_study / "models").iterdir()) == before


def test_limits_of_queries_and_bodies_that_are_no_requests(client: TestClient) -> None:
    many = client.post("/v1/search", json={"queries": ["x"] * 65})
    assert (many.status_code, "65 queries" in many.text) == (400, True)
    assert client.post("/v1/search", json={"queries": []}).status_code == 422
    assert client.post("/v1/search", json={"queries": ["x"], "kk": 3}).status_code == 422
    assert client.post("/v1/search", content=b"{").status_code == 422
    assert client.post("/v1/search", content=b'{"queries": ["\\ud800"]}').status_code == 422
    long = client.post("/v1/search", json={"queries": ["y" * 100_001]})
    assert (long.status_code, "100,001 characters" in long.text) == (413, True)


def test_an_overloaded_server_refuses_at_once(finished_study: Path) -> None:
    with client_of(finished_study, model="hyper", limits=RequestLimits(waiting=3)) as client:
        refused = client.post("/v1/search", json={"queries": ["x"] * 4})
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["type"] == "Overloaded"
        assert client.get("/v1/search?q=x").status_code == 200


def test_a_request_that_takes_too_long_ends(finished_study: Path) -> None:
    with client_of(
        finished_study, model="hyper", limits=RequestLimits(request_seconds=1e-6)
    ) as one:
        slow = one.get("/v1/search?q=x")
    assert slow.status_code == 503
    assert slow.json()["error"]["type"] == "TooSlow"


def test_the_answer_is_json_whatever_a_document_holds(client: TestClient) -> None:
    response = client.get("/v1/search", params={"q": "</script><script>alert(1)</script>"})
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.text)["query"] == "</script><script>alert(1)</script>"
