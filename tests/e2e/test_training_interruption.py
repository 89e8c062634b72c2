"""A real training, killed or stopped at any moment, ends byte-equal to one that never was."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import hypestore
from hypencli.__main__ import main

MOMENTS = {
    "the work not yet recorded": r"os.rename models/[^/]+/\.work\.json",
    "half the rows written": r"open cache/.*/row_offsets",
    "the first point": r"open models/.*/progress.jsonl",
    "half a checkpoint": r"open models/.*/checkpoint-5/trainer_state.json",
    "a checkpoint not yet marked": r"os.rename models/.*/checkpoint-5/complete.json",
    "the next one whole": r"shutil.rmtree models/.*/checkpoint-5$",
    "the older one half gone": r"os.rmdir models/.*/checkpoint-10$",
    "the model half written": r"open models/[^/]+/recipe.toml",
    "the model without its manifest": r"os.rename models/[^/]+/\.manifest\.json",
}
"""Operations that a training is killed at, one after the other."""

Killed = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def settings(
    tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, tiny_collection: Path
) -> list[str]:
    """Dropout, random negatives and validation; a point at each step."""
    held_out = tmp_path_factory.mktemp("rows") / "held-out.jsonl"
    lines = (tiny_collection / "train.jsonl").read_text(encoding="utf-8").splitlines(True)
    held_out.write_text("".join(lines[:8]), encoding="utf-8")
    values = {
        "model.backbone": tiny_backbone,
        "data.train": tiny_collection / "train.jsonl",
        "data.random_negatives": 4,
        "training.logging_steps": 1,
        "training.save_steps": 5,
        "validation.rows": held_out,
        "validation.measures": "['RR@10']",
        "validation.every_steps": 6,
    }
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def short(settings: list[str]) -> list[str]:
    """Sixteen steps: an epoch and a third."""
    return ["train", "tiny", *settings, "--set", "training.steps=16"]


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, short: list[str], commands: Killed
) -> tuple[Path, list[str]]:
    """The model of an uninterrupted training, and the operations that made it."""
    root = hypestore.Store.create(tmp_path_factory.mktemp("whole") / "store").root
    outcome = commands(short, root)
    assert outcome["code"] == 0, outcome["stderr"]
    return the_model(root), outcome["operations"]


def the_model(root: Path) -> Path:
    """The folder of the only model of a store, which is in order."""
    store = hypestore.Store.open(root)
    (manifest,) = store.artifacts("model")
    assert store.unfinished() == []
    # A kill right after the manifest leaves the catalog behind: whoever reads it brings it up.
    assert store.catalog.query("FROM artifacts SELECT id").rows == ((manifest.id,),)
    assert store.doctor(checksums=True).findings == ()
    return store.path(manifest)


def assert_equal(actual: Path, wanted: Path) -> None:
    name = "model.safetensors"
    assert (actual / name).read_bytes() == (wanted / name).read_bytes()
    assert points(actual) == points(wanted)


def points(model: Path) -> dict[tuple[int, str], float]:
    """The curves of a model."""
    table = pq.read_table(model / "training.parquet")
    actual = {(one["step"], one["name"]): one["value"] for one in table.to_pylist()}
    assert len(actual) == len(table)
    return actual


def checkpoint(root: Path) -> int:
    """The step of the newest whole checkpoint; 0 where there is none."""
    markers = root.glob("models/*/unfinished/checkpoint-*/complete.json")
    return max((int(path.parent.name.rpartition("-")[2]) for path in markers), default=0)


def test_killed_at_every_kind_of_moment(
    short: list[str], commands: Killed, whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root = hypestore.Store.create(tmp_path / "store").root
    for moment, pattern in MOMENTS.items():
        before = checkpoint(root)
        outcome = commands(short, root, pattern)
        assert outcome["code"] == -signal.SIGKILL, (moment, outcome["operations"][-5:])
        assert re.search(pattern, outcome["operations"][-1])
        assert (f"going on from step {before}\n" in outcome["stderr"]) == (before > 0), moment
        assert hypestore.Store.open(root).artifacts("model") == [], moment
    assert commands(short, root)["code"] == 0
    assert_equal(the_model(root), whole[0])


def test_killed_at_random_moments(
    short: list[str], commands: Killed, whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    model, operations = whole
    generator = random.Random(20)
    for i, passing in enumerate(generator.sample(range(len(operations)), 2)):
        root = hypestore.Store.create(tmp_path / str(i)).root
        assert commands(short, root, ".", passing)["code"] == -signal.SIGKILL, passing
        assert commands(short, root)["code"] == 0, passing
        assert_equal(the_model(root), model)


class Running:
    """The real command, while it runs."""

    def __init__(self, command: list[str], root: Path) -> None:
        self._root = root
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hypencli", *command, "--store", str(root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, step: int) -> None:
        """Until a point of that step is there for others to see."""
        deadline = time.monotonic() + 120
        while not any(f'"step": {step},' in text for text in self._progress()):
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _progress(self) -> list[str]:
        return [path.read_text() for path in self._root.glob("models/*/progress.jsonl")]

    def stop(self, how: signal.Signals) -> tuple[int, str]:
        """Exit code and stderr."""
        os.kill(self._process.pid, how)
        out, err = self._process.communicate(timeout=120)
        assert out == ""
        assert "Traceback" not in err, err
        return self._process.returncode, err


@pytest.fixture(scope="module")
def long(settings: list[str]) -> list[str]:
    """Long enough to be seen and stopped three times by another process."""
    more = ("--set", "training.steps=120", "--set", "validation.every_steps=15")
    return ["train", "tiny", "--name", "long", *settings, *more]


def test_signals(long: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One training: killed, then Ctrl-C, then SIGTERM, then left alone; each goes on from there."""
    root = hypestore.Store.create(tmp_path / "store").root
    running = Running(long, root)
    running.wait_for(12)
    assert running.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    reached = checkpoint(root)
    assert reached >= 10
    for kind in (signal.SIGINT, signal.SIGTERM):
        running = Running(long, root)
        running.wait_for(reached + 8)
        if kind == signal.SIGINT:
            assert_seen_while_it_runs(root, capsys, step=reached + 8)
        code, said = running.stop(kind)
        assert code == 128 + kind
        assert f"going on from step {reached}\n" in said
        assert "Stopping after this step with a checkpoint; Ctrl-C again: now.\n" in said
        how = "Interrupted" if kind == signal.SIGINT else "Ended by SIGTERM"
        last = f"{how}. What is done is kept: run the same command again to go on.\n"
        assert said.endswith(last)
        reached = checkpoint(root)
    capsys.readouterr()
    assert main([*long, "--store", str(root)]) == 0
    assert f"Continued from step {reached}." in capsys.readouterr().out
    assert {step for step, name in points(the_model(root)) if name == "loss"} == {*range(1, 121)}


def assert_seen_while_it_runs(root: Path, capsys: pytest.CaptureFixture[str], *, step: int) -> None:
    capsys.readouterr()
    assert main(["show", "long", "--store", str(root), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["work"]["is_held"]
    assert shown["last_step"] >= step
    assert [point[0] for point in shown["curves"]["loss"][:step]] == list(range(1, step + 1))
    assert "validation.RR@10" in shown["curves"]
    assert main(["ls", "--store", str(root), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["unfinished"]
    assert f"process {os.getpid()}" not in listed["about"]


@pytest.mark.slow
def test_out_of_time_then_restarted_then_finished(
    short: list[str],
    whole: tuple[Path, list[str]],
    tmp_path: Path,
) -> None:
    root = hypestore.Store.create(tmp_path / "store").root

    def hype(*more: str) -> tuple[int, str, str]:
        """In a process of its own, as the training it is compared with."""
        command = [sys.executable, "-m", "hypencli", *short, *more, "--store", str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    limit = ("--set", "training.max_minutes=1e-9")
    code, out, _ = hype(*limit)
    assert code == 75
    assert "Stopped at step 1: the time limit was reached. A checkpoint was written" in out
    assert "run the same command again" in out
    code, out, err = hype(*limit, "--json")
    assert (code, "going on from step 1\n" in err) == (75, True)
    stopped = json.loads(out)
    assert (stopped["finished"], stopped["steps"], stopped["resumed_from"]) == (False, 2, 1)
    code, out, err = hype("--restart", "--json")
    assert (code, "restarting: the checkpoint of step 2 is deleted\n" in err) == (0, True)
    done = json.loads(out)
    assert (done["finished"], done["steps"], done["resumed_from"]) == (True, 16, 0)
    assert_equal(the_model(root), whole[0])
    for more in ((), ("--restart",), limit):
        code, out, err = hype(*more)
        assert (code, err) == (0, "")
        assert f"Already trained: {done['model_id']}" in out
