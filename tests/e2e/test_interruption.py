"""A real encode, killed, goes on where it was and ends byte-equal to one that was not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hypestore

SHARD_ROWS = 100
DOCUMENTS = 1500


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, tiny_collection: Path) -> Path:
    """The tiny corpus again and again, under new ids: long enough to be killed."""
    lines = (tiny_collection / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    path = tmp_path_factory.mktemp("long") / "long.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for i in range(DOCUMENTS):
            out.write(json.dumps({"id": f"n{i}", "text": texts[i % 120]}) + "\n")
    return path


def encode(corpus: Path, store: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "hypencli", "encode", str(corpus), "--model", "hyper"),
        *("--shard-rows", str(SHARD_ROWS), "--store", str(store), *more),
    ]


def vector_files(store: Path) -> dict[str, str]:
    """Name -> hash of the shards of the long corpus."""
    files = sorted((store / "embeddings").glob("long-*/*.parquet"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill_after_shards(command: list[str], store: Path, shards: int, how: signal.Signals) -> int:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(list((store / "embeddings").glob("long-*/vectors-*.parquet"))) < shards:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, how)
    _, stderr = process.communicate(timeout=60)
    assert b"Traceback" not in stderr, stderr.decode()
    return process.returncode


def test_killed_and_resumed_equals_uninterrupted(
    corpus: Path, finished_study: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    shutil.copytree(finished_study, whole)
    shutil.copytree(finished_study, killed)
    subprocess.run(encode(corpus, whole), check=True, capture_output=True)
    assert kill_after_shards(encode(corpus, killed), killed, 3, signal.SIGKILL) == -signal.SIGKILL
    store = hypestore.Store.open(killed)
    assert not [one for one in store.artifacts("embeddings") if one.id.startswith("long")]
    assert store.get("hyper-run").name == "hyper-run"
    assert kill_after_shards(encode(corpus, killed), killed, 8, signal.SIGINT) == 130
    done = {path.name: path.stat().st_mtime_ns for path in killed.glob("embeddings/long-*/v*")}
    assert 8 <= len(done) < DOCUMENTS / SHARD_ROWS
    last = subprocess.run(
        encode(corpus, killed, "--json"), check=True, capture_output=True, text=True
    )
    encoded = json.loads(last.stdout)["encoded"]
    assert encoded == DOCUMENTS - len(done) * SHARD_ROWS
    for path in killed.glob("embeddings/long-*/v*"):
        assert done.get(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    assert vector_files(killed) == vector_files(whole)
    assert hypestore.Store.open(killed).doctor(checksums=True).findings == ()


def test_two_encoders_of_one_set_do_not_mix(
    corpus: Path, finished_study: Path, tmp_path: Path
) -> None:
    """The second one says who has the set, or finds it finished; either way it is whole."""
    store = tmp_path / "store"
    shutil.copytree(finished_study, store)
    processes = [
        subprocess.Popen(encode(corpus, store), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ended = [(process.communicate(timeout=240), process.returncode) for process in processes]
    codes = sorted(code for _, code in ended)
    assert codes in ([0, 0], [0, 4]), ended
    for (_, stderr), code in ended:
        assert code == 0 or b"process" in stderr
    opened = hypestore.Store.open(store)
    (created,) = (one for one in opened.artifacts("embeddings") if one.id.startswith("long"))
    assert opened.embeddings(created.id).n == DOCUMENTS
    assert opened.doctor(checksums=True).findings == ()
