"""Eight processes at work on one store for as long as you like: every figure that is shown is true.

Seven commands run at any moment, drawn from all verbs, removals among them; the eighth process
holds the catalog for two seconds in four, as a notebook does. Before, a calm store has made each
artifact once, one after another: what the busy store holds and shows must be the same.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import hypestore
from tests.e2e.faults.side_by_side import PATIENCE_SECONDS, Commands, forks

MINUTES = float(os.environ.get("HYPE_MIXED_MINUTES", "2"))
"""How long the slow test takes; ``make fuzz`` takes an hour."""

COMMANDS = 7
KINDS = 6
"""So many sets, runs and graphs, each with inputs of its own, come and go."""

REFUSED = re.compile(
    r"is in use by process|^No [a-z ]+ has the id or name|removed while it was read"
)
"""What a command may say that meets another one; it then ends with exit code 4."""

LEADERBOARD = ["report", "--sql", "SELECT name, measure, value FROM leaderboard"]
ALWAYS = [["report"], LEADERBOARD, ["doctor", "--checksums"], ["ls"]]
"""What no other command may make fail."""


class Mixture:
    """Commands that make artifacts, and commands that need, show and remove them."""

    def __init__(self, collection: Path, settings: list[str], folder: Path) -> None:
        self.corpus, self.queries = collection / "corpus.jsonl", collection / "queries.jsonl"
        self.qrels = ["--qrels", str(collection / "qrels.txt")]
        self.settings, self.folder = settings, folder
        for kind in range(KINDS):
            lines = (f"q{i} Q0 d{i + kind} 1 {1 + kind}.5 theirs\n" for i in range(12))
            (folder / f"run-{kind}.txt").write_text("".join(lines), encoding="utf-8")

    def making(self, kind: int) -> dict[str, list[str]]:
        """Name -> command of each artifact of a kind; each after those that it needs."""
        searching = ["search", str(self.queries), "--model", "hyper", *self.qrels]
        encoding = ["encode", str(self.corpus), "--model", "hyper", "--shard-rows", "10"]
        waiting = ["--wait", str(PATIENCE_SECONDS)]
        of = {
            "set": [*encoding, "--max-length", str(20 + kind), *waiting],
            "over": [*searching, "--embeddings", f"set-{kind}"],
            "found": [*searching, "--embeddings", "hyper-docs", "--k", str(5 + kind)],
            "near": ["graph", "hyper-docs", "--k", str(4 + kind)],
            "theirs": ["import", "run", str(self.folder / f"run-{kind}.txt")],
        }
        if kind < 2:
            steps = ["--set", "training.steps=4", "--set", f"training.seed={kind}"]
            of["model"] = ["train", "tiny", *self.settings, *steps]
        commands = {f"{name}-{kind}": command for name, command in of.items()}
        return {name: [*command, "--name", name] for name, command in commands.items()} | {
            f"measures-{kind}": ["eval", f"found-{kind}", *self.qrels, "--measures", "nDCG@5 RR@10"]
        }

    def draw(self, generator: random.Random, number: int) -> list[str]:
        """A command: half of them make something, one in six removes it."""
        making = self.making(generator.randrange(KINDS))
        name = generator.choice(list(making))
        if generator.random() < 0.5:
            return making[name]
        if generator.random() < 0.33:
            return ["rm", name.replace("measures", "found"), "--force"]
        out = str(self.folder / f"exported-{number}.jsonl")
        return generator.choice(
            [
                *ALWAYS,
                ["show", name],
                ["export", "run", name, "--output", out],
                ["eval", "hyper-run", *self.qrels, "--measures", "P@3"],
                ["report", name, "hyper-run"],
            ]
        )


NOTEBOOK = """
import duckdb, select, sys
held = 0
while not select.select([sys.stdin], [], [], 2)[0]:
    try:
        connection = duckdb.connect(sys.argv[1])
    except duckdb.Error:
        continue
    connection.execute("SELECT count(*) FROM leaderboard").fetchall()
    held += 1
    ended = select.select([sys.stdin], [], [], 2)[0]
    connection.execute("SELECT count(*) FROM leaderboard").fetchall()
    connection.close()
    if ended:
        break
print(held)
"""


@contextmanager
def notebook(root: Path) -> Iterator[None]:
    """Has the catalog open, for writing too, half of the time."""
    command = [sys.executable, "-c", NOTEBOOK, str(root / "catalog.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    assert process.returncode == 0


def figures(shown: dict[str, Any]) -> set[tuple[str, str, float]]:
    """Name, measure and value of each row of a leaderboard."""
    return {(row["name"], row["measure"], row["value"]) for row in shown["rows"]}


@pytest.fixture
def mixture(tiny_collection: Path, tiny_recipe_settings: list[str], tmp_path: Path) -> Mixture:
    return Mixture(tiny_collection, tiny_recipe_settings, tmp_path)


def calm_store(mixture: Mixture, root: Path, folder: Path) -> set[tuple[str, str, float]]:
    """All that the mixture makes, made one after another; what its leaderboard shows."""
    folder.mkdir()
    making = [command for kind in range(KINDS) for command in mixture.making(kind).values()]
    making += [["eval", "hyper-run", *mixture.qrels, "--measures", "P@3"]]
    making += [LEADERBOARD]
    with forks(folder) as start:
        commands = Commands(folder, len(making))
        for number, command in enumerate(making):
            start([*command, "--store", str(root), "--json"])
            Commands(folder, number + 1).wait(lambda one: commands.code(one) is not None)
            assert commands.code(number) == 0, (command, commands.said(number))
    return figures(commands.out(len(making) - 1))


class Busy:
    """The busy store, and what its commands did.

    Args:
        mixture: What is drawn from.
        root: The store.
        folder: Where the commands write.
        true: All figures that a leaderboard may show.
        seed: Of the draws.
    """

    def __init__(
        self,
        mixture: Mixture,
        root: Path,
        folder: Path,
        true: set[tuple[str, str, float]],
        seed: int,
    ) -> None:
        self.mixture, self.root, self.folder, self.true = mixture, root, folder, true
        self.generator = random.Random(seed)
        self.ended: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self, seconds: float) -> None:
        """Keep seven commands at work for so long."""
        self.folder.mkdir()
        commands, running, count = Commands(self.folder, 0), dict[int, list[str]](), 0
        stop = time.monotonic() + seconds
        with forks(self.folder) as start:
            while running or time.monotonic() < stop:
                while len(running) < COMMANDS and time.monotonic() < stop:
                    command = self.mixture.draw(self.generator, count)
                    start(
                        [*command, "--store", str(self.root), "--json"],
                        program=self.generator.random() < 0.1,
                    )
                    running[count] = command
                    count += 1
                for number in [one for one in running if commands.code(one) is not None]:
                    self._check(commands, number, running.pop(number))
                time.sleep(0.05)

    def _check(self, commands: Commands, number: int, command: list[str]) -> None:
        verb = " ".join(command[:2]) if command[0] in ("import", "export") else command[0]
        code, said = commands.code(number), commands.said(number)
        self.ended[verb] += 1
        if wrong := self._wrong(commands, number, command):
            self.wrong.append(f"{command} gave {code}: {wrong}\n{said}")
        elif code:
            self.refused[verb] += 1
        for path in self.folder.glob(f"{number}.*"):
            path.unlink()

    def _wrong(self, commands: Commands, number: int, command: list[str]) -> str:
        """What a command should not have done."""
        code, said = commands.code(number), commands.said(number)
        if "Traceback" in said or "could not set lock" in said.lower() or code not in (0, 4):
            return "no error of its own"
        if code == 4:
            message = commands.out(number)["error"]["message"]
            return "" if REFUSED.search(message) and command not in ALWAYS else message
        if command == LEADERBOARD and (untrue := figures(commands.out(number)) - self.true):
            return str(untrue)
        return ""


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES + 1800)
def test_mixed_verbs_for_a_long_time(
    study: Path,
    mixture: Mixture,
    contents: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calm = tmp_path / "calm"
    shutil.copytree(study, calm)
    true = calm_store(mixture, calm, tmp_path / "calm-said")
    seed = time.time_ns() % 2**32
    busy = Busy(mixture, study, tmp_path / "said", true, seed)
    with capsys.disabled():
        print(f"\nseed {seed}", flush=True)  # noqa: T201
    with notebook(study):
        busy.run(60 * MINUTES)
    with capsys.disabled():
        print(f"ended: {dict(busy.ended)}; of these refused: {dict(busy.refused)}")  # noqa: T201
    assert not busy.wrong, "\n".join(busy.wrong)
    store = hypestore.Store.open(study)
    expected, actual = contents(calm), contents(study)
    assert actual.keys() <= expected.keys()
    for artifact, content in actual.items():
        assert content == expected[artifact]
    listed = store.catalog.query("FROM artifacts SELECT id").rows
    assert sorted(row[0] for row in listed) == sorted(actual)
    assert store.unfinished() == []
    assert store.doctor(checksums=True).findings == ()
