"""A replication that is killed goes on where it was, and ends with the same table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import hypestore

DOCUMENTS = 1200


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, tiny_collection: Path) -> Path:
    """The tiny queries on a corpus that is long enough to be killed in."""
    folder = tmp_path_factory.mktemp("table")
    lines = (tiny_collection / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    rows = [{"id": f"d{i}", "text": texts[i % 120]} for i in range(DOCUMENTS)]
    (folder / "long.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    path = folder / "table.toml"
    path.write_text(
        f"""measures = ["nDCG@10"]
[models.hype]
source = "hyper"
[models.bi]
source = "plain"
[datasets.long]
queries = "{tiny_collection / "queries.jsonl"}"
corpus = "./long.jsonl"
qrels = "{tiny_collection / "qrels.txt"}"
""",
        encoding="utf-8",
    )
    return path


def command(table: Path, store: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "hypencli", "replicate", str(table), "--json"),
        *("--store", str(store), "--device", "cpu"),
    ]


def run(table: Path, store: Path) -> Any:
    done = subprocess.run(command(table, store), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kill_when(table: Path, store: Path, pattern: str, how: signal.Signals) -> int:
    """Run it, and send a signal as soon as a file of the store fits."""
    process = subprocess.Popen(
        command(table, store), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not list(store.glob(pattern)):
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, how)
    _, said = process.communicate(timeout=60)
    assert b"Traceback" not in said, said.decode()
    return process.returncode


def test_killed_twice_and_gone_on(table: Path, finished_study: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    shutil.copytree(finished_study, whole)
    shutil.copytree(finished_study, killed)
    expected = run(table, whole)
    at_vectors = kill_when(table, killed, "embeddings/long-*/vectors-*.parquet", signal.SIGKILL)
    assert at_vectors == -signal.SIGKILL
    at_run = kill_when(table, killed, "runs/long-*hyper*/manifest.json", signal.SIGINT)
    assert at_run == 130
    opened = hypestore.Store.open(killed)
    (embeddings,) = (one for one in opened.artifacts("embeddings") if one.id.startswith("long"))
    shards = killed / "embeddings" / embeddings.id
    before = {path: path.stat().st_mtime_ns for path in shards.iterdir()}
    actual = run(table, killed)
    assert 0 < actual["made"] < expected["made"]
    assert actual["made"] + actual["existing"] == expected["steps"]
    assert {path: path.stat().st_mtime_ns for path in shards.iterdir()} == before
    assert [one["value"] for one in actual["figures"]] == [
        one["value"] for one in expected["figures"]
    ]
    assert opened.doctor(checksums=True).findings == ()
