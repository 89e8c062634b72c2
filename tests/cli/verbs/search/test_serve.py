from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hypencli
from hypencli.cli.options import read_token
from hypencli.cli.verbs.search.serve import parse_limits
from hypencli.client import ServerError
from hypencli.errors import DataError, UsageError

Hype = Callable[..., Any]
TOKEN = "a-secret-of-this-test"


@pytest.fixture
def process(finished_study: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    command = [sys.executable, "-m", "hypencli", "serve", "--store", str(finished_study)]
    command += ["--model", "hyper", "--port", "0", "--token", str(tmp_path / "token"), "--json"]
    with (
        (tmp_path / "log").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        yield process
        process.kill()


@pytest.mark.timeout(240)
def test_a_server_answers_and_ends_when_it_has_answered(
    process: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    with pytest.raises(ServerError, match="no valid token"):
        hypencli.connect(url).runs()
    connection = hypencli.connect(url, token=TOKEN)
    assert connection.query("bread", k=1).hits
    answers: list[Any] = []
    asked = threading.Thread(
        target=lambda: answers.extend(connection.queries([f"river {n}" for n in range(64)], k=100))
    )
    asked.start()
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    asked.join(60)
    assert len(answers) == 64
    assert process.wait(60) == 128 + signal.SIGTERM
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "POST /v1/search 200" in log
    assert "Ended by SIGTERM" in log
    assert "Traceback" not in log
    assert "river" not in log
    assert TOKEN not in log


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--model", "nope"], 4, "No model has the id or name 'nope'"),
        (["--embeddings", "nope"], 4, "No embeddings"),
        (["--engine", "nope"], 2, "There is no engine 'nope'"),
        (["--limit", "kk=3"], 2, "There is no limit 'kk'"),
        (["--limit", "k"], 2, "--limit k is not of the form NAME=VALUE"),
        (["--token", "nowhere.txt"], 5, "nowhere.txt"),
        (["--host", "203.0.113.1"], 2, "Cannot listen at 203.0.113.1"),
        (["--host", "x" * 300], 2, "Cannot listen at xxx"),
    ],
    ids=["model", "embeddings", "engine", "limit", "form", "token", "address", "name"],
)
def test_what_cannot_be_served_is_told_before_anything_is_loaded(
    hype: Hype, finished_study: Path, options: list[str], code: int, says: str
) -> None:
    outcome = hype("serve", "--store", finished_study, *options)
    assert (outcome.code, says in outcome.err) == (code, True), outcome.err


def test_a_server_that_everybody_reaches_says_so(hype: Hype, finished_study: Path) -> None:
    outcome = hype("serve", "--store", finished_study, "--host", "203.0.113.1")
    assert "WARNING: everybody who reaches 203.0.113.1" in outcome.err


@pytest.mark.parametrize("text", ["", "short", "two\nlines-of-a-long-secret", "é" * 20])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="holds no secret"):
        read_token(path)


def test_limits_are_numbers_above_0() -> None:
    limits = parse_limits(["k=100", "request-seconds=2.5"])
    assert (limits.k, limits.request_seconds) == (100, 2.5)
    for text in ("k=0", "k=-1", "k=x", "k=1.5", "request_seconds=nan", f"k={'9' * 30}"):
        with pytest.raises(UsageError, match="a number above 0"):
            parse_limits([text])
