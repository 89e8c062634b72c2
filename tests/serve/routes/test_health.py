from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

import hypencli
from tests.serve.clients import client_of


def samples(text: str) -> dict[str, float]:
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def test_a_server_tells_that_it_runs_and_answers(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "version": hypencli.__version__}
    assert client.get("/readyz").json() == {"ready": True, "waiting": 0}


def test_metrics_count_requests_stages_and_evaluations(finished_study: Path) -> None:
    with client_of(finished_study, model="hyper") as client:
        client.post("/v1/search", json={"queries": ["a river", "bread"], "recall": 0.8})
        client.get("/v1/search?q=", headers={"Host": "evil.example"})
        metrics = samples(client.get("/metrics").text)
    assert metrics['hype_requests_total{method="POST",route="/v1/search",status="200"}'] == 1
    assert metrics['hype_refused_total{status="421"}'] == 1
    assert metrics['hype_stage_seconds_count{stage="query_encoding"}'] == 2
    assert metrics['hype_evaluations_count{engine="guided"}'] == 2
    assert metrics['hype_recall_bound_count{engine="guided"}'] == 2
    assert metrics["hype_batch_questions_sum"] == 4
    assert metrics["hype_waiting_questions"] == 0
