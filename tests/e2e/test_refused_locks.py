"""Commands on a file system that gives no locks: NFS without lock service, Lustre without flock."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hypencli.__main__ import main

SHIM = """
import errno, fcntl, os
def flock(descriptor, operation):
    raise OSError(errno.{name}, os.strerror(errno.{name}))
fcntl.flock = flock
"""


@pytest.fixture
def reading(study: Path, tiny_collection: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Every verb that reads, and those whose result exists."""
    run = str(tmp_path / "run.trec")
    return {
        "ls": ["ls"],
        "show": ["show", "hyper-run"],
        "report": ["report"],
        "report two": ["report", "hyper-run", "plain-run"],
        "sql": ["report", "--sql", "SELECT run, measure, value FROM leaderboard ORDER BY ALL"],
        "doctor": ["doctor"],
        "export": ["export", "run", "hyper-run", "--output", run, "--overwrite"],
        "eval": ["eval", "hyper-run", "--qrels", str(tiny_collection / "qrels.txt")],
        "search": [
            *("search", str(tiny_collection / "queries.jsonl"), "--model", "hyper"),
            *("--k", "20", "--embeddings", "hyper-docs", "--name", "hyper-run"),
        ],
    }


@pytest.mark.parametrize("name", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_reading_verbs_need_no_lock(
    study: Path,
    reading: dict[str, list[str]],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    number = getattr(errno, name)

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    def said(verb: str) -> Any:
        code = main([*reading[verb], "--store", str(study), "--json"])
        captured = capsys.readouterr()
        assert code == 0, (verb, captured.out, captured.err)
        return json.loads(captured.out)

    expected = {verb: said(verb) for verb in reading}
    monkeypatch.setattr(fcntl, "flock", flock)
    for verb in reading:
        assert said(verb) == expected[verb], verb
    (study / "catalog.duckdb").unlink()
    assert said("sql") == expected["sql"]


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS"])
def test_a_real_command_that_writes_is_refused_with_the_remedy(
    study: Path, tmp_path: Path, name: str
) -> None:
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(SHIM.format(name=name))
    path = os.pathsep.join([str(shim), *filter(None, sys.path)])

    def hype(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hypencli", *arguments, "--store", str(study)]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    refused = hype("rm", "plain-run", "--force")
    assert refused.returncode == 4
    assert "its file system gives no locks" in refused.stderr
    assert "Reading works. To write, use a store on another file system" in refused.stderr
    assert "Traceback" not in refused.stderr
    shown = hype("show", "plain-run")
    assert shown.returncode == 0, shown.stderr
    assert "plain-run" in shown.stdout
