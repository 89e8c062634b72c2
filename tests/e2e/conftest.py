"""Real commands that are killed, run out of space, or are stopped; and what they must leave."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hypestore

COMMANDS = Path(__file__).with_name("faults") / "commands.py"

_NOT_OF_THE_RESULT = {"created", "provenance", "requires"}
_TIMED = ("seconds", "resumed_from", "encoded_by_last_process")
"""What a manifest says of one command's course, and not of its result."""

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def commands() -> Iterator[Run]:
    """Run commands, which may be killed; see :func:`command_server`."""
    yield from command_server()


def command_server(environment: Mapping[str, str] | None = None) -> Iterator[Run]:
    """Run a command to its end, or until it is killed or has no space left; what became of it.

    ``pattern`` and ``passing`` kill it at an operation on the store, ``after`` so many seconds
    after the first one; ``writes`` leaves space for so many files, ``file_bytes`` for so many
    bytes in each; ``started`` is a process of its own from its first instruction on.
    """
    command = [sys.executable, str(COMMANDS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:

        def run(
            command: list[str],
            store: Path,
            pattern: str | None = None,
            passing: int = 0,
            **more: Any,
        ) -> dict[str, Any]:
            job = {"command": command, "store": str(store), "pattern": pattern, "passing": passing}
            process.stdin.write(json.dumps(job | more) + "\n")
            process.stdin.flush()
            outcome: dict[str, Any] = json.loads(process.stdout.readline())
            assert "Traceback" not in outcome["stderr"], outcome["stderr"]
            return outcome

        yield run
        process.stdin.close()


@dataclass(frozen=True)
class Trial:
    """One verb, and the store that it is tried on.

    Attributes:
        command: The verb and its options.
        base: The store; never changed, but copied.
        prepare: What is done to a copy before.
        removes: Whether artifacts go, in place of coming.
    """

    command: list[str]
    base: Path
    prepare: Callable[[Path], None] = lambda root: None
    removes: bool = False

    def copy(self, place: Path) -> Path:
        """A store to try it on."""
        shutil.copytree(self.base, place)
        self.prepare(place)
        return place


def _without_catalog(root: Path) -> None:
    (root / "catalog.duckdb").unlink()


@pytest.fixture(scope="session")
def trials(
    tmp_path_factory: pytest.TempPathFactory,
    commands: Run,
    finished_study: Path,
    tiny_collection: Path,
    tiny_backbone: Path,
) -> dict[str, Trial]:
    """Every verb that writes, over a small study: 600 documents in shards of 50, trained models."""
    folder = tmp_path_factory.mktemp("trials")
    full, empty = folder / "full", folder / "empty"
    shutil.copytree(finished_study, full)
    hypestore.Store.create(empty)
    corpus, qrels = folder / "long.jsonl", str(tiny_collection / "qrels.txt")
    queries = str(tiny_collection / "queries.jsonl")
    lines = (tiny_collection / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    rows = (json.dumps({"id": f"d{i}", "text": texts[i % 120]}) for i in range(600))
    corpus.write_text("\n".join(rows), encoding="utf-8")

    def file(name: str) -> str:
        return str(folder / name)

    sharded = ["encode", str(corpus), "--model", "hyper", "--shard-rows", "50"]
    on_long = ["--corpus", str(corpus), "--model", "hyper"]
    for command in (
        [*sharded, "--name", "long"],
        ["graph", "long", "--k", "8", "--name", "near"],
        ["export", "embeddings", "long", "--output", file("long.docs")],
        ["export", "graph", "near", "--output", file("near.jsonl")],
        ["export", "run", "hyper-run", "--output", file("run.jsonl")],
        ["export", "study", file("study.zip")],
    ):
        done = commands(command, full)
        assert done["code"] == 0, done["stderr"]
    settings = {
        "model.backbone": tiny_backbone,
        "data.train": tiny_collection / "train.jsonl",
        "training.steps": 12,
        "training.save_steps": 3,
        "training.logging_steps": 1,
    }
    training = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    searching = ["search", queries, *on_long, "--k", "100", "--qrels", qrels, "--name", "again"]
    imported = ["import", "embeddings", file("long.docs"), "--model", "hyper"]
    inputs = ["--embeddings", "long", "--name", "again"]
    commands_of = {
        "encode": [*sharded, "--max-length", "32", "--name", "short"],
        "graph": ["graph", "long", "--k", "12", "--name", "wider"],
        "search": searching,
        "eval": ["eval", "hyper-run", "--qrels", qrels, "--measures", "nDCG@5 RR@10 R@20"],
        "train": ["train", "tiny", "--name", "third", *training],
        "import run": ["import", "run", file("run.jsonl"), "--name", "theirs"],
        "import embeddings": [*imported, "--shard-rows", "50", "--name", "given"],
        "import graph": ["import", "graph", file("near.jsonl"), *inputs],
    }
    actual = {name: Trial(command, full) for name, command in commands_of.items()}
    actual["import study"] = Trial(["import", "study", file("study.zip")], empty)
    actual["rm"] = Trial(["rm", "hyper", "--force"], full, removes=True)
    actual["report"] = Trial(["report", "--json"], full, _without_catalog)
    actual["doctor"] = Trial(["doctor", "--rebuild", "--checksums"], full)
    return actual


def _lasting(value: Any) -> Any:
    """What is there of a value again when the same is made once more."""
    if not isinstance(value, dict):
        return value
    return {
        key: _lasting(one)
        for key, one in value.items()
        if not any(key == timed or key.endswith(f"_{timed}") for timed in _TIMED)
    }


def _manifests(root: Path) -> list[Path]:
    """Of all artifacts; not of those that are removed at this moment."""
    actual = sorted(root.glob("*/*/manifest.json"))
    return [path for path in actual if not path.parent.name.startswith(".")]


def _contents(root: Path) -> dict[str, dict[str, Any]]:
    """Every artifact: the hash of each file, and its manifest without times and circumstances."""
    actual: dict[str, dict[str, Any]] = {}
    for path in _manifests(root):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = {record["path"]: record.pop("sha256") for record in manifest.pop("files")}
        existing = {
            one.relative_to(path.parent).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest()
            for one in path.parent.rglob("*")
            if one.is_file() and one != path
        }
        assert existing.items() >= files.items(), path
        kept = {key: value for key, value in manifest.items() if key not in _NOT_OF_THE_RESULT}
        actual[manifest["id"]] = {**_lasting(kept), "files": files}
    return actual


def _snapshot(root: Path) -> dict[str, str]:
    """Every file of every artifact, bit for bit."""
    return {
        one.relative_to(root).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest()
        for path in _manifests(root)
        for one in path.parent.rglob("*")
        if one.is_file()
    }


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, Any]]:
    """What a store holds, as far as the same commands make it again."""
    return _contents


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[str, str]]:
    """What a store holds, to the last bit."""
    return _snapshot
