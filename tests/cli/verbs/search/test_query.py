from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]
QUESTION = "what is a river"


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("seconds", "stages")}


def test_a_server_gives_the_answer_of_its_store(
    hype: Hype, address: str, finished_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = ["--k", 3, "--model", "hyper", "--approx", "-o", "budget=60", "--json"]
    here = hype("query", QUESTION, *how, "--store", finished_study).json
    there = hype("query", QUESTION, *how, "--server", address).json
    assert without_times(there) == without_times(here)
    monkeypatch.setenv("HYPE_SERVER", address)
    monkeypatch.setenv("HYPE_STORE", "/nowhere")
    assert without_times(hype("query", QUESTION, *how).json) == without_times(here)
    outcome = hype("query", QUESTION, "--k", 1)
    assert "1. " in outcome.out


def test_a_store_that_is_typed_counts_more_than_a_server_of_the_environment(
    hype: Hype, finished_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPE_SERVER", "http://127.0.0.1:9")
    how = ["--k", 1, "--model", "hyper", "--store", finished_study]
    assert hype("query", QUESTION, *how).code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--store", "x", "--server", "http://127.0.0.1:9"], "--server and --store exclude"),
        (["--server", "http://127.0.0.1:9", "--corpus", "x"], "--corpus is not for questions"),
        (["--server", "http://127.0.0.1:9", "--trust-code"], "--trust-code is not for questions"),
        (["--server", "nowhere"], "not the address of a server"),
    ],
    ids=["store", "corpus", "trust-code", "address"],
)
def test_options_that_a_server_does_not_take_are_refused(
    hype: Hype, options: list[str], says: str
) -> None:
    outcome = hype("query", QUESTION, *options)
    assert outcome.code == 2
    assert says in outcome.err


def test_a_server_that_does_not_answer_is_told(hype: Hype) -> None:
    outcome = hype("query", QUESTION, "--server", "http://127.0.0.1:9")
    assert outcome.code == 1
    assert "No answer from http://127.0.0.1:9" in outcome.err
    assert "hype serve" in outcome.err
