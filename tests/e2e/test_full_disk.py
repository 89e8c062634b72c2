"""A disk that is full: an error that says what is free, the state before whole, then it goes on.

Three ways: a small file system of its own (``tmpfs``), where this may be mounted; a limit on the
size of files, with which the system itself refuses a write at byte N; and a refusal at the N-th
file that is opened for writing. The last two run everywhere.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hypestore

VERBS = (
    *("encode", "graph", "search", "eval", "train"),
    *("import run", "import embeddings", "import graph", "import study"),
)
READING = ("report", "ls", "show hyper-run")
"""These need no space: they work without a catalog of their own."""

Run = Callable[..., dict[str, Any]]
Contents = Callable[[Path], dict[str, Any]]


class Filling:
    """One verb, and disks that are full at different moments of it."""

    def __init__(self, trial: Any, tools: tuple[Run, Contents, Contents], folder: Path) -> None:
        self.trial, self.folder = trial, folder
        self.run, self.contents, self.snapshot = tools
        self.counts: Counter[str] = Counter()
        whole = trial.copy(folder / "whole")
        self.calm = self.run(trial.command, whole)
        assert self.calm["code"] == 0, self.calm["stderr"]
        self.expected = self.contents(whole)

    def fails_then_goes_on(
        self, root: Path, limits: dict[str, Any], make_space: Callable[[], object] = lambda: None
    ) -> None:
        """Run it with the limit, and again without."""
        before = self.snapshot(root)
        outcome = self.run(self.trial.command, root, **limits)
        self.counts["tried"] += 1
        said = outcome["stderr"]
        if outcome["code"]:
            self.counts["refused"] += 1
            assert outcome["code"] == 4, (limits, outcome["code"], said)
            assert "Error: " in said, said
            assert "free" in said or "File too large" in said, said
            assert str(root) in said, said
        else:
            # What was refused is needed by nobody: the catalog, which the next command makes.
            self.counts["done all the same"] += 1
            assert self.contents(root) == self.expected
        assert self.snapshot(root).items() >= before.items()
        assert hypestore.Store.open(root).doctor(checksums=True).healthy
        make_space()
        again = self.run(self.trial.command, root)
        assert again["code"] == 0, again["stderr"]
        assert self.contents(root) == self.expected
        store = hypestore.Store.open(root)
        assert [one for one in store.doctor(checksums=True).findings if one.artifact] == []


@pytest.fixture
def filling(
    request: pytest.FixtureRequest,
    trials: dict[str, Any],
    commands: Run,
    contents: Contents,
    snapshot: Contents,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> Iterator[Filling]:
    actual = Filling(trials[request.param], (commands, contents, snapshot), tmp_path)
    yield actual
    for name, count in actual.counts.items():
        record_property(name, count)
    print(f"\n{request.param}: {dict(actual.counts)}")  # noqa: T201


def sizes(filling: Filling) -> list[int]:
    """Of the files that the verb makes."""
    created = filling.expected.keys() - filling.contents(filling.trial.base).keys()
    folder = filling.folder / "whole"
    paths = [path for one in created for path in folder.glob(f"*/{one}/*") if path.is_file()]
    return sorted(path.stat().st_size for path in paths)


def refusals(filling: Filling, generator: random.Random, count: int) -> None:
    """At files opened for writing, and at byte N of any file."""
    for i in range(count):
        writes = generator.randrange(20)
        root = filling.trial.copy(filling.folder / f"writes-{i}")
        filling.fails_then_goes_on(root, {"writes": writes})
        most = generator.choice(sizes(filling))
        root = filling.trial.copy(filling.folder / f"bytes-{i}")
        filling.fails_then_goes_on(root, {"file_bytes": generator.randrange(1, most)})


@pytest.mark.parametrize("filling", VERBS, indirect=True)
def test_a_write_is_refused(filling: Filling, request: pytest.FixtureRequest) -> None:
    seed = VERBS.index(request.node.callspec.params["filling"])
    refusals(filling, random.Random(seed), 1)
    assert filling.counts["refused"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("filling", VERBS, indirect=True)
def test_many_writes_are_refused(filling: Filling, request: pytest.FixtureRequest) -> None:
    seed = 100 + VERBS.index(request.node.callspec.params["filling"])
    refusals(filling, random.Random(seed), 6)
    assert filling.counts["refused"] >= 6


def mount(place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["mount", "-t", "tmpfs", *options, "hype-tests", str(place)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 MB at first."""
    place = tmp_path / "disk"
    place.mkdir()
    done = mount(place, "-o", "size=64m")
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def leave(place: Path, free: int) -> None:
    """Make the file system so small that just so many bytes are free, or a page more."""
    used = shutil.disk_usage(place).used
    done = mount(place, "-o", f"remount,size={used + free}")
    assert done.returncode == 0, done.stderr


def on_disks(filling: Filling, place: Path, parts: list[float]) -> None:
    """With space for such parts of what the verb writes."""
    needed = sum(sizes(filling))
    for i, part in enumerate(parts):
        assert mount(place, "-o", "remount,size=64m").returncode == 0
        root = filling.trial.copy(place / str(i))
        leave(place, int(part * needed))
        filling.fails_then_goes_on(root, {}, lambda: mount(place, "-o", "remount,size=64m"))


@pytest.mark.parametrize("filling", ["encode", "search", "train"], indirect=True)
def test_the_disk_is_full(filling: Filling, small_disk: Path) -> None:
    on_disks(filling, small_disk, [0.5])
    assert filling.counts["refused"] == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("filling", VERBS, indirect=True)
def test_the_disk_is_full_at_any_moment(filling: Filling, small_disk: Path) -> None:
    on_disks(filling, small_disk, [0.0, 0.2, 0.4, 0.6, 0.8])
    assert filling.counts["refused"] >= 3


@pytest.mark.parametrize("verb", READING)
def test_reading_needs_no_space(
    verb: str, trials: dict[str, Any], commands: Run, tmp_path: Path
) -> None:
    """Without a catalog, and without space for one, what is read is the same."""
    root = trials["report"].copy(tmp_path / "store")
    refused = commands([*verb.split(), "--json"], root, writes=0)
    assert (refused["code"], refused["stderr"]) == (0, "")
    whole = commands([*verb.split(), "--json"], root)
    assert refused["stdout"] == whole["stdout"]


def test_what_does_not_fit_is_not_begun(
    trials: dict[str, Any], commands: Run, small_disk: Path
) -> None:
    """Long work says what it needs and what is free before its first shard or pair of blocks."""
    for verb, what in (("encode", "embeddings"), ("graph", "graph"), ("train", "Training")):
        assert mount(small_disk, "-o", "remount,size=64m").returncode == 0
        trial = trials[verb]
        root = trial.copy(small_disk / verb)
        leave(small_disk, 20_000)
        outcome = commands(trial.command, root)
        assert outcome["code"] == 4, outcome["stderr"]
        assert " needs " in outcome["stderr"], outcome["stderr"]
        assert "are free there." in outcome["stderr"]
        assert "run the same command again" in outcome["stderr"]
        assert f"{what} " in outcome["stderr"]
        for work in root.glob("*/*/work.json"):
            assert not [*work.parent.glob("vectors-*"), *work.parent.glob("neighbours*")]
