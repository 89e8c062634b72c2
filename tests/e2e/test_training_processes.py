"""The real command in two processes of a launcher, on the CPU: one model, said once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hypestore

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
PATIENCE_SECONDS = 120
"""A launcher that hangs fails the test, and is killed with its processes."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hypestore.Store.create(tmp_path_factory.mktemp("processes") / "store").root


@pytest.fixture(scope="module")
def command(root: Path, tiny_backbone: Path, tiny_collection: Path) -> list[str]:
    settings = {
        "model.backbone": tiny_backbone,
        "data.train": tiny_collection / "train.jsonl",
        "training.steps": 40,
        "training.batch_size": 4,
        "training.logging_steps": 1,
    }
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    verb = ("-m", "hypencli", "train", "tiny", "--name", "both", "--json")
    return [*verb, *changes, "--store", str(root)]


class Launched:
    """A launcher with its processes, in a group of their own."""

    def __init__(self, command: list[str], repository: Path) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(repository), str(repository / "store"))),
        }
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr; nothing of the group is left."""
        try:
            out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.returncode, out, err


def launch(command: list[str], repository: Path) -> tuple[int, str, str]:
    return Launched(command, repository).end()


@pytest.mark.slow
def test_interrupted_resumed_and_found_again(
    root: Path, command: list[str], repository: Path
) -> None:
    """Ctrl-C for the launcher, then the same command twice: a checkpoint, a model, no change."""
    launched = Launched([*LAUNCHER, *command], repository)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(
        '"step": 8,' in path.read_text() for path in root.glob("models/*/progress.jsonl")
    ):
        assert launched.process.poll() is None, launched.end()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(launched.process.pid, signal.SIGINT)
    code, out, err = launched.end()
    assert (code, out) == (1, ""), "the launcher has its own exit code"
    assert err.count("Stopping after this step with a checkpoint") == 1
    assert err.count("Interrupted. What is done is kept") == 1
    (folder,) = root.glob("models/*/unfinished/checkpoint-*")
    step = int(folder.name.rpartition("-")[2])
    assert 8 <= step < 40
    assert {path.name for path in folder.glob("rng_state*")} == {
        "rng_state_0.pth",
        "rng_state_1.pth",
    }

    code, out, err = launch([*LAUNCHER, *command], repository)
    assert code == 0, err
    done = json.loads(out)  # one line, of one process
    assert (done["resumed_from"], done["steps"], done["finished"]) == (step, 40, True)
    assert err.count(f"going on from step {step}") == 1
    store = hypestore.Store.open(root)
    (manifest,) = store.artifacts("model")
    assert (manifest.id, manifest.name) == (done["model_id"], "both")
    assert manifest.provenance["processes"] == 2
    assert store.doctor(checksums=True).findings == ()

    code, out, err = launch([*LAUNCHER, *command], repository)
    assert code == 0, err
    assert json.loads(out) == {**done, "existing": True}
    assert store.artifacts("model") == [manifest]


def test_an_error_ends_every_process(root: Path, command: list[str], repository: Path) -> None:
    absent = ["--set", "data.train=absent.jsonl"]
    code, out, err = launch([*LAUNCHER, *command, *absent], repository)
    assert code != 0
    problems = [json.loads(line)["error"] for line in out.splitlines()]
    assert 1 <= len(problems) <= 2, "a process may be ended before it has come to say so"
    assert all("No training file absent.jsonl" in problem["message"] for problem in problems)
    assert "hypencli/ops" not in err, "a traceback of ours"


@pytest.mark.slow
def test_an_error_of_the_leader_alone_ends_every_process(
    root: Path, command: list[str], repository: Path
) -> None:
    """The other one waits to be told where to work when the leader finds the name taken."""
    taken = ["--set", "training.seed=7"]
    code, out, err = launch([*LAUNCHER, *command, *taken], repository)
    assert code != 0
    (problem,) = [json.loads(line)["error"] for line in out.splitlines()]
    assert problem["type"] == "NameTaken"
    assert "hypencli/ops/training" not in err


@pytest.mark.slow
def test_accelerate_launches_too(root: Path, command: list[str], repository: Path) -> None:
    """``--multi_gpu`` is what makes it start several processes, with a GPU or without."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
        *("--num_processes", "2", "--num_machines", "1", "--main_process_port", str(port)),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
    ]
    own = ["--name", "accelerated", "--set", "training.steps=2", "--device", "cpu"]
    code, out, err = launch([*launcher, *command, *own], repository)
    assert code == 0, err
    manifest = hypestore.Store.open(root).get(json.loads(out)["model_id"])
    assert manifest.provenance["processes"] == 2
