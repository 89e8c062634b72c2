"""``hype search`` and ``hype query``: queries that are cut, and queries without a text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]


@pytest.fixture
def searching(tmp_path: Path, study: Path) -> list[object]:
    path = tmp_path / "asked.jsonl"
    texts = ["river " * 7, "river " * 6, "moon", "", "  "]
    lines = [json.dumps({"id": f"q{i}", "text": text}) for i, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["search", path, "--model", "hyper", "-k", 5, "--store", study, "--query-max-length"]


def test_queries_that_are_cut_are_said_with_the_option(hype: Hype, searching: list[object]) -> None:
    for _ in range(2):  # the second time from the manifest
        said = " ".join(hype(*searching, 8).out.split())
        assert "1 of 5 queries were cut after 8 tokens; --query-max-length N reads more." in said
    assert hype(*searching, 8, "--json").json["n_cut"] == 1
    assert "cut after" not in hype(*searching, 9).out


def test_queries_without_a_text_are_said(hype: Hype, searching: list[object]) -> None:
    outcome = hype(*searching, 9)
    assert "2 of 5 queries of file:asked.jsonl have no text, the first is 'q3'" in outcome.err


def test_a_question_that_is_cut_is_said(hype: Hype, study: Path) -> None:
    asking = ["query", "river " * 7, "--model", "hyper", "--store", study, "--query-max-length"]
    said = " ".join(hype(*asking, 8).out.split())
    assert "The question was cut after 8 tokens; --query-max-length N reads more." in said
    assert hype(*asking, 8, "--json").json["is_cut"]
    assert "was cut" not in hype(*asking, 9).out
