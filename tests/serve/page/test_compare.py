"""Saved queries of a comparison."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from tests.serve.clients import client_of


def test_csv_and_json_have_what_the_view_shows(client: TestClient) -> None:
    address = "/page/queries?a=hyper-run&b=plain-run&measure=RR&side=gains&order=id"
    rows = list(csv.DictReader(io.StringIO(client.get(f"{address}&format=csv").text)))
    response = client.get(f"{address}&format=json")
    records = response.json()
    assert response.headers["content-disposition"] == 'attachment; filename="queries.json"'
    assert rows == [{name: str(value) for name, value in one.items()} for one in records]
    assert records
    assert all(one["value_b"] > one["value_a"] for one in records)
    assert [one["query_id"] for one in records] == sorted(one["query_id"] for one in records)


def test_a_spreadsheet_computes_nothing_of_a_saved_query(
    study: Path, tmp_path: Path, hype: Callable[..., Any]
) -> None:
    (tmp_path / "queries.jsonl").write_text('{"id": "=1+1", "text": "@SUM(A1)"}\n', "utf-8")
    (tmp_path / "qrels.txt").write_text("=1+1 0 d0 1\n", "utf-8")
    for model in ("hyper", "plain"):
        outcome = hype(
            *("search", tmp_path / "queries.jsonl", "--model", model, "--name", f"odd-{model}"),
            *("--embeddings", f"{model}-docs", "--qrels", tmp_path / "qrels.txt", "--k", "5"),
            *("--store", study),
        )
        assert outcome.code == 0, outcome.err
    with client_of(study) as client:
        text = client.get("/page/queries?a=odd-hyper&b=odd-plain&format=csv").text
    assert text.splitlines()[1].startswith("'=1+1,'@SUM(A1),")
