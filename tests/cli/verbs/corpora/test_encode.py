"""``hype encode``: pipes, dry runs, and what is said of texts that are cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]
DATA = 5
HYPE = (sys.executable, "-m", "hypencli")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    lines = [json.dumps({"id": f"d{i}", "text": "river " * i}) for i in range(10)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_encode_reads_standard_input(study: Path, corpus: Path, hype: Hype) -> None:
    command = [*HYPE, "encode", "-", "--model", "hyper", "--store", study, "--json"]
    with corpus.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["corpus"], outcome["n_documents"]) == ("stdin", 10)
    again = hype("encode", corpus, "--model", "hyper", "--store", study, "--json").json
    assert (again["existing"], again["embeddings"]) == (True, outcome["embeddings"])


def test_a_named_pipe_is_refused_at_once(hype: Hype, study: Path, tmp_path: Path) -> None:
    """Nobody writes into it: reading would wait for ever."""
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    outcome = hype("encode", pipe, "--model", "hyper", "--store", study)
    assert outcome.code == DATA
    assert "is a pipe or a device" in outcome.err
    assert f"hype encode - < {pipe}" in outcome.err


def test_a_dry_run_refuses_what_cannot_be_encoded(hype: Hype, study: Path, corpus: Path) -> None:
    command = ["encode", corpus, "--model", "hyper", "--store", study, "--dry-run", "--json"]
    assert hype(*command).json["n_documents"] == 10
    good = corpus.read_text(encoding="utf-8")
    for content, message in [
        (good + "broken\n", "line 11: not valid JSON"),
        (good + good, "'d0' is there twice, at lines 1 and 11"),
        ("q1 0 d1 1\nq1 0 d2 0\n", "line 1: not valid JSON"),
    ]:
        corpus.write_text(content, encoding="utf-8")
        outcome = hype(*command[:-1])
        assert (outcome.code, message in outcome.err) == (DATA, True), outcome.err
        assert outcome.out == ""


def test_a_dry_run_counts_what_would_be_left_out(hype: Hype, study: Path, corpus: Path) -> None:
    corpus.write_text(corpus.read_text() + "broken\n", encoding="utf-8")
    command = ["encode", corpus, "--model", "hyper", "--store", study, "--on-error", "skip"]
    assert hype(*command, "--dry-run", "--json").json["n_documents"] == 10
    assert hype(*command, "--dry-run", "--limit", 4, "--json").json["n_documents"] == 4


def test_texts_that_are_cut_are_said_with_the_option(hype: Hype, study: Path, corpus: Path) -> None:
    command = ["encode", corpus, "--model", "hyper", "--store", study, "--max-length"]
    for _ in range(2):  # the second time from the manifest
        said = " ".join(hype(*command, 8).out.split())
        assert "3 of 10 documents were cut after 8 tokens; --max-length N reads more." in said
    assert hype(*command, 8, "--json").json["n_cut"] == 3
    assert "cut after" not in hype(*command, 11).out
