from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from hypencli.serve.settings import RequestLimits
from tests.serve.clients import client_of


def ask(client: TestClient, statement: str) -> tuple[int, str]:
    response = client.post("/v1/sql", json={"sql": statement})
    return response.status_code, response.text


def test_a_query_is_answered(client: TestClient) -> None:
    reply = client.post(
        "/v1/sql", json={"sql": "SELECT name, 'x' AS name FROM models ORDER BY name"}
    )
    assert reply.json() == {"columns": ["name", "name_1"], "rows": [["hyper", "x"], ["plain", "x"]]}


def test_nothing_is_changed_or_read_beside_the_catalog(client: TestClient) -> None:
    for statement in (
        "DROP TABLE models",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY models TO '/tmp/x'",
        "ATTACH '/tmp/x.db'",
    ):
        status, text = ask(client, statement)
        assert status == 400
        assert "root:" not in text


def test_results_are_limited_and_sql_is_off_unless_asked_for(finished_study: Path) -> None:
    with client_of(finished_study, sql=True, limits=RequestLimits(sql_rows=10)) as client:
        assert ask(client, "SELECT * FROM range(11)")[0] == 400
        assert ask(client, "SELECT 'NaN'::DOUBLE AS x")[1] == '{"columns":["x"],"rows":[[null]]}'
    with client_of(finished_study) as client:
        assert ask(client, "SELECT 1")[0] == 403
