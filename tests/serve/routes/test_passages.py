from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import hypencli

TEXTS = ["water and a boat", "moon and sun", "bread with flour and yeast and salt"]


@pytest.fixture(scope="module")
def model(finished_study: Path) -> hypencli.Model:
    (folder,) = (one for one in (finished_study / "models").iterdir() if _name(one) == "hyper")
    return hypencli.load(folder, device="cpu")


def _name(folder: Path) -> str:
    return "hyper" if '"hyper"' in (folder / "manifest.json").read_text(encoding="utf-8") else ""


def test_vectors_are_those_of_the_model(client: TestClient, model: hypencli.Model) -> None:
    reply = client.post("/v1/embeddings", json={"input": TEXTS, "user": "ann"}).json()
    vectors = np.array([one["embedding"] for one in reply["data"]], dtype=np.float32)
    assert np.array_equal(vectors, model.encode_passages(TEXTS))
    assert [one["index"] for one in reply["data"]] == [0, 1, 2]
    tokens = sum(map(len, model.tokenizer(TEXTS)["input_ids"]))
    assert reply["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_base64_holds_the_same_vectors(client: TestClient, model: hypencli.Model) -> None:
    body = {"input": TEXTS[0], "encoding_format": "base64"}
    (one,) = client.post("/v1/embeddings", json=body).json()["data"]
    vector = np.frombuffer(base64.b64decode(one["embedding"]), dtype="<f4")
    assert np.array_equal(vector, model.encode_passages(TEXTS[:1])[0])


def test_documents_of_the_request_are_ranked(client: TestClient, model: hypencli.Model) -> None:
    query = "what is a river"
    scores = model.encode_queries([query])(model.encode_passages(TEXTS))[0]
    documents = [TEXTS[0], {"text": TEXTS[1], "title": "x"}, TEXTS[2]]
    body = {"query": query, "documents": documents, "model": "hyper", "top_n": 2}
    results = client.post("/v1/rerank", json=body).json()["results"]
    best = sorted(range(3), key=lambda place: -scores[place])[:2]
    assert [(one["index"], one["relevance_score"]) for one in results] == [
        (place, float(scores[place])) for place in best
    ]
    assert [one["document"]["text"] for one in results] == [TEXTS[place] for place in best]
    plain = client.post("/v1/rerank", json={**body, "return_documents": False}).json()
    assert plain["results"][0]["document"] is None


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/embeddings", {"input": []}, 422),
        ("/v1/embeddings", {"input": [1, 2]}, 422),
        ("/v1/embeddings", {"input": ["x"] * 513}, 400),
        ("/v1/embeddings", {"input": "x" * 100_001}, 413),
        ("/v1/embeddings", {"input": "x", "model": "nope"}, 404),
        ("/v1/rerank", {"query": "", "documents": ["x"]}, 400),
        ("/v1/rerank", {"query": "x", "documents": []}, 422),
        ("/v1/rerank", {"query": "x", "documents": ["x"], "top_n": 0}, 422),
    ],
    ids=["none", "tokens", "many", "long", "model", "empty query", "no documents", "top_n"],
)
def test_what_is_wrong_is_told(
    client: TestClient, path: str, body: dict[str, object], status: int
) -> None:
    assert client.post(path, json=body).status_code == status
