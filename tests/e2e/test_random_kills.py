"""``kill -9`` at random moments of every verb that writes: nothing is lost, all goes on.

A moment is drawn evenly over the time that the verb takes from its first look at the store to its
end, or it is one of the operations on the store. A draw that comes too late is drawn again.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hypestore

VERBS = (
    *("encode", "graph", "search", "eval", "train", "rm", "report", "doctor"),
    *("import run", "import embeddings", "import graph", "import study"),
)

KILLS = int(os.environ.get("HYPE_KILLS", "0"))
"""Kills of each verb at new moments in the slow test; 0 stands for 17 at those of every run."""

Run = Callable[..., dict[str, Any]]
Contents = Callable[[Path], dict[str, Any]]


class Killing:
    """One verb, killed again and again, each time in a store of its own.

    Args:
        trial: The verb and its store.
        tools: ``commands``, ``contents`` and ``snapshot``.
        folder: Where the stores go.
    """

    def __init__(self, trial: Any, tools: tuple[Run, Contents, Contents], folder: Path) -> None:
        self.trial, self.folder = trial, folder
        self.run, self.contents, self.snapshot = tools
        self.counts: Counter[str] = Counter()
        whole = trial.copy(folder / "whole")
        self.before = self.snapshot(whole)
        self.calm = self.run(trial.command, whole)
        assert self.calm["code"] == 0, self.calm["stderr"]
        self.expected = self.contents(whole)
        assert hypestore.Store.open(whole).doctor(checksums=True).healthy

    def at_random_times(self, generator: random.Random, count: int, *, started: bool) -> None:
        """So many kills, evenly drawn over the time of the command."""
        seconds = self.calm["seconds"]
        if started:
            once = self.trial.copy(self.folder / "started")
            seconds = self.run(self.trial.command, once, started=True)["seconds"]
        for _ in range(count):
            self._until_hit(lambda: {"after": generator.uniform(0, seconds), "started": started})

    def at_random_operations(self, generator: random.Random, count: int) -> None:
        """So many kills, each before an operation on the store."""
        total = len(self.calm["operations"])
        for _ in range(count):
            self._until_hit(lambda: {"pattern": ".", "passing": generator.randrange(total)})

    def _until_hit(self, draw: Callable[[], dict[str, Any]]) -> None:
        for _ in range(10):
            self.counts["tried"] += 1
            root = self.trial.copy(self.folder / str(self.counts["tried"]))
            outcome = self.run(self.trial.command, root, **draw())
            if outcome["code"] == -signal.SIGKILL:
                self._check(root, len(outcome["operations"]))
                return
            assert outcome["code"] == 0, outcome["stderr"]
            self.counts["too late"] += 1
        pytest.fail("ten kills came too late")

    def _check(self, root: Path, operations: int) -> None:
        self.counts["killed"] += 1
        self._nothing_is_lost(root)
        if operations % 2:  # others look at the store before the command comes again
            store = hypestore.Store.open(root)
            rows = store.catalog.query("FROM artifacts SELECT id").rows
            assert sorted(row[0] for row in rows) == sorted(self.contents(root))
        if self.contents(root) == self.expected:
            self.counts["all was done"] += 1
        elif self.snapshot(root) != self.before or hypestore.Store.open(root).unfinished():
            self.counts["half done"] += 1
        self._goes_on(root)
        self._is_clean(root)

    def _nothing_is_lost(self, root: Path) -> None:
        """What was finished before is there, bit for bit, and the store is sound."""
        now = self.snapshot(root)
        if self.trial.removes:
            gone = {path.split("/")[1] for path in self.before.keys() - now.keys()}
            assert not gone & self.expected.keys(), gone
            left = {path for path in self.before if path.split("/")[1] not in gone}
            assert now == {path: self.before[path] for path in left}
        else:
            assert now.items() >= self.before.items()
        report = hypestore.Store.open(root).doctor(checksums=True)
        assert report.healthy, report.findings

    def _goes_on(self, root: Path) -> None:
        outcome = self.run(self.trial.command, root)
        if self.trial.removes and self.contents(root) == self.expected and outcome["code"]:
            assert outcome["code"] == 4, outcome["stderr"]  # it was removed, and is not found
            assert "No artifact has the id or name" in outcome["stderr"]
        else:
            assert outcome["code"] == 0, outcome["stderr"]
        actual = self.contents(root)
        assert actual.keys() == self.expected.keys()
        for artifact, content in self.expected.items():
            assert actual[artifact] == content
        if self.trial.command[0] in ("report", "eval"):
            assert outcome["stdout"] == self.calm["stdout"]

    def _is_clean(self, root: Path) -> None:
        store = hypestore.Store.open(root)
        if store.doctor(checksums=True).findings:
            self.counts["cleaned"] += 1
            store.doctor(clean=True)
        store = hypestore.Store.open(root)
        assert store.doctor(checksums=True).findings == ()
        assert not list(root.rglob("*.tmp"))
        assert not list((root / "locks").glob("staging*"))
        rows = store.catalog.query("FROM artifacts SELECT id").rows
        assert sorted(row[0] for row in rows) == sorted(self.expected)


@pytest.fixture
def killing(
    request: pytest.FixtureRequest,
    trials: dict[str, Any],
    commands: Run,
    contents: Contents,
    snapshot: Contents,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> Iterator[Killing]:
    actual = Killing(trials[request.param], (commands, contents, snapshot), tmp_path)
    yield actual
    for name, count in actual.counts.items():
        record_property(name, count)
    print(f"\n{request.param}: {dict(actual.counts)}, {actual.calm['seconds']:.2f} s")  # noqa: T201


def seed_of(verb: str) -> int:
    """The same moments for a verb, whichever others are killed before."""
    return VERBS.index(verb) + 1


@pytest.mark.parametrize("killing", VERBS, indirect=True)
def test_killed_once_or_twice(killing: Killing, request: pytest.FixtureRequest) -> None:
    """Twenty kills in all."""
    verb = request.node.callspec.params["killing"]
    generator = random.Random(seed_of(verb))
    killing.at_random_times(generator, 1, started=False)
    killing.at_random_operations(generator, 1 if VERBS.index(verb) < 8 else 0)


@pytest.mark.slow
@pytest.mark.timeout(1200 + 60 * KILLS)
@pytest.mark.parametrize("killing", VERBS, indirect=True)
def test_killed_many_times(killing: Killing, request: pytest.FixtureRequest) -> None:
    """Two hundred kills in all: by time, one of a process of its own, and at operations."""
    seed = time.time_ns() % 2**32 if KILLS else 100
    generator = random.Random(seed + seed_of(request.node.callspec.params["killing"]))
    print(f"seed {seed}")  # noqa: T201
    count = KILLS or 17
    at_operations, alone = count * 5 // 17, max(1, count // 17)
    killing.at_random_times(generator, count - at_operations - alone, started=False)
    killing.at_random_times(generator, alone, started=True)
    killing.at_random_operations(generator, at_operations)
    assert killing.counts["killed"] == count
