"""Power loss at every fsync of every verb that writes: what is there is whole, or it is not there.

The real commands run under a recorder (``faults/recorder.c``). Each moment at which a file or a
folder was synced gives disk states, with all that was not synced lost, in part or whole
(``faults/power.py``). The store must say the truth about each: every artifact from before is
unchanged, every new one is whole or not there, and the same command makes the rest.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hypestore
from tests.e2e.conftest import command_server
from tests.e2e.faults.power import (
    AllLost,
    DataLost,
    DataTorn,
    DiskState,
    DrawnLoss,
    Loss,
    OnlyRemovals,
    Recorder,
    Recording,
)

VERBS = (
    *("encode", "graph", "search", "eval", "train", "rm", "report", "doctor"),
    *("import run", "import embeddings", "import graph", "import study"),
)

Run = Callable[..., dict[str, Any]]
Contents = Callable[[Path], dict[str, Any]]

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="the recorder needs a C compiler")


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path_factory.mktemp("recorder"))
    yield recorder
    recorder.close()


@pytest.fixture(scope="session")
def recorded_environment(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> dict[str, str]:
    """What makes a process tell the recorder what it does."""
    library = tmp_path_factory.mktemp("library") / "recorder.so"
    source = Path(__file__).with_name("faults") / "recorder.c"
    assert COMPILER is not None
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    loaded = {"LD_PRELOAD": str(library), "HYPE_RECORDER": str(recorder.socket)}
    return {**os.environ, **loaded}


@pytest.fixture(scope="session")
def recorded_commands(recorded_environment: dict[str, str]) -> Iterator[Run]:
    """Commands that tell the recorder what they do."""
    yield from command_server(recorded_environment)


class PowerLoss:
    """One verb, recorded, and the states that a power loss can leave of it.

    Args:
        trial: The verb and its store.
        tools: ``commands``, ``contents`` and ``snapshot``.
        folder: Where the stores go.
    """

    def __init__(self, trial: Any, tools: tuple[Run, Contents, Contents], folder: Path) -> None:
        self.trial, self.folder = trial, folder
        self.run, self.contents, self.snapshot = tools
        self.counts: Counter[str] = Counter()
        self.seen: set[frozenset[tuple[str, str | None]]] = set()

    def record(self, run: Run, recorder: Recorder) -> None:
        """Run the verb to its end, under the recorder."""
        whole = self.trial.copy(self.folder / "whole")
        self.before = self.snapshot(whole)
        self.recording: Recording = recorder.start(whole)
        calm = run(self.trial.command, whole)
        recorder.stop()
        assert calm["code"] == 0, calm["stderr"]
        self.expected = self.contents(whole)
        self.after = self.snapshot(whole)
        self.counts["syncs"] = len(self.recording.syncs)

    def moments(self) -> list[tuple[int, bool]]:
        """The moments during and right after each sync, and the end."""
        around = [(moment, synced) for moment in self.recording.syncs for synced in (False, True)]
        return [*around, (self.recording.moment, True)]

    def is_done(self, now: dict[str, str]) -> bool:
        """Whether all is there that the command makes; what it deletes besides may be there."""
        if self.trial.removes:
            return now == self.after
        return now.items() >= self.after.items()

    def check(self, when: tuple[int, bool], loss: Loss, *, go_on: bool) -> None:
        """Look at one state; with ``go_on``, also run the command again."""
        moment, synced = when
        state = DiskState(self.recording, moment, loss, synced=synced)
        files = frozenset(one for one in state.contents.items() if not one[0].startswith("locks/"))
        if files in self.seen and not go_on:
            self.counts["seen before"] += 1
            return
        self.seen.add(files)
        self.counts["states"] += 1
        root = self.folder / f"{moment}-{self.counts['states']}"
        state.write(root)
        what = f"moment {moment} of {self.recording.moment}, {type(loss).__name__}: {root}"
        now = self._truth(root, what)
        if synced and moment == self.recording.moment and not isinstance(loss, DrawnLoss):
            assert self.is_done(now), what  # the command said that it was done
        if self.is_done(now):
            self.counts["all there"] += 1
        elif now != self.before or hypestore.Store.open(root).unfinished():
            self.counts["half done"] += 1
        if go_on:
            self._goes_on(root, what)
        shutil.rmtree(root)

    def _truth(self, root: Path, what: str) -> dict[str, str]:
        """What the store shows is whole, and what was there before is unchanged."""
        store = hypestore.Store.open(root)
        report = store.doctor(checksums=True)
        errors = [one for one in report.findings if one.severity == "error"]
        assert not errors, f"{what}: {errors}"
        now = self.snapshot(root)
        whole = self.contents(root)
        if self.trial.removes:
            assert whole.keys() >= self.expected.keys(), what
            assert now.items() <= self.before.items(), what
        else:
            assert now.items() >= self.before.items(), what
            assert whole.keys() <= self.expected.keys(), what
        for artifact in whole.keys() & self.expected.keys():
            assert whole[artifact] == self.expected[artifact], what
        listed = store.catalog.query("FROM artifacts SELECT id").rows
        assert sorted(row[0] for row in listed) == sorted(whole), what
        return now

    def _goes_on(self, root: Path, what: str) -> None:
        self.counts["gone on"] += 1
        for reading in (["ls"], ["report"]):
            outcome = self.run(reading, root)
            assert outcome["code"] == 0, f"{what}: {outcome['stderr']}"
        outcome = self.run(self.trial.command, root)
        if self.trial.removes and outcome["code"]:
            assert "No artifact has the id or name" in outcome["stderr"], what
        else:
            assert outcome["code"] == 0, f"{what}: {outcome['stderr']}"
        assert self.contents(root) == self.expected, what
        store = hypestore.Store.open(root)
        store.doctor(clean=True)
        assert hypestore.Store.open(root).doctor(checksums=True).findings == (), what


@pytest.fixture
def power_loss(
    request: pytest.FixtureRequest,
    trials: dict[str, Any],
    commands: Run,
    recorded_commands: Run,
    recorder: Recorder,
    contents: Contents,
    snapshot: Contents,
    tmp_path: Path,
) -> Iterator[PowerLoss]:
    actual = PowerLoss(trials[request.param], (commands, contents, snapshot), tmp_path)
    actual.record(recorded_commands, recorder)
    yield actual
    print(f"\n{request.param}: {dict(actual.counts)}")  # noqa: T201


@pytest.mark.parametrize("power_loss", VERBS, indirect=True)
def test_a_few_states_after_a_power_loss(
    power_loss: PowerLoss, request: pytest.FixtureRequest
) -> None:
    """The end, and a few drawn moments."""
    generator = random.Random(VERBS.index(request.node.callspec.params["power_loss"]))
    moments = power_loss.moments()
    for loss in (AllLost(), DataLost(), DataTorn()):
        power_loss.check(moments[-1], loss, go_on=False)
        power_loss.check(generator.choice(moments), loss, go_on=False)
    for _ in range(4):
        power_loss.check(generator.choice(moments), DrawnLoss(generator), go_on=False)
    power_loss.check(generator.choice(moments), DrawnLoss(generator), go_on=True)


@pytest.mark.parametrize("power_loss", ["train"], indirect=True)
def test_a_checkpoint_that_was_safe_stays_until_there_is_a_newer_one(
    power_loss: PowerLoss,
) -> None:
    """An older checkpoint is deleted when the next one is on the disk, with its name."""

    def safe(moment: int, synced: bool) -> set[str]:
        held = DiskState(power_loss.recording, moment, OnlyRemovals(), synced=synced).contents
        new = (Path(name) for name in held if name not in power_loss.before)
        return {path.name for path in new if path.parts[0] == "models"}

    found = [safe(*when) for when in power_loss.moments()]
    first = next(place for place, names in enumerate(found) if "complete.json" in names)
    assert "manifest.json" not in found[first]
    assert all(names & {"complete.json", "manifest.json"} for names in found[first:])


OUTSIDE = """
import sys
from pathlib import Path
from hypencli.data.atomic import atomic_write
from hypencli.data.prepare.staging import staged_folder
from hypencli.training.data.state_cache import FolderCaches

root = Path(sys.argv[1])
with atomic_write(root / "file.txt") as path:
    path.write_text("whole")
with staged_folder(root / "dataset") as staging:
    (staging.out / "corpus.jsonl").write_text("whole")
FolderCaches(root)("states", lambda folder: [(folder / "a.bin").write_text("whole")])
"""


def test_what_is_written_outside_of_a_store_is_there_after_a_power_loss(
    recorder: Recorder, recorded_environment: dict[str, str], tmp_path: Path
) -> None:
    root = tmp_path / "outside"
    root.mkdir()
    recording = recorder.start(root)
    command = [sys.executable, "-c", OUTSIDE, str(root)]
    subprocess.run(command, check=True, env=recorded_environment)
    recorder.stop()
    for loss in (AllLost(), DataLost(), DataTorn()):
        state = DiskState(recording, recording.moment, loss)
        place = tmp_path / type(loss).__name__
        state.write(place)
        for name in ("file.txt", "dataset/corpus.jsonl", "states/a.bin"):
            assert (place / name).read_text() == "whole", (loss, name)
    for moment in recording.syncs:
        held = DiskState(recording, moment, DataTorn(), synced=False).contents
        whole = {held.get(name) for name in ("file.txt", "dataset/corpus.jsonl", "states/a.bin")}
        assert whole <= {None, hashlib.sha256(b"whole").hexdigest()}, moment


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("power_loss", VERBS, indirect=True)
def test_every_state_after_a_power_loss(
    power_loss: PowerLoss, request: pytest.FixtureRequest
) -> None:
    """All moments, with all losses; the command goes on from one state in ten."""
    generator = random.Random(100 + VERBS.index(request.node.callspec.params["power_loss"]))
    for moment in power_loss.moments():
        for loss in (AllLost(), DataLost(), DataTorn(), *[DrawnLoss(generator)] * 6):
            power_loss.check(moment, loss, go_on=generator.random() < 0.1)
