"""Caches: made once, held while used, never needed."""

from __future__ import annotations

import errno
import gc
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs

Start = Callable[..., Any]

MAKER = """
    import os, signal, sys, time
    from pathlib import Path
    import hypestore as hs

    root, allowed, pause_seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    events = 0

    def count():
        # The moments before and after each flush and rename, as in test_kill.py.
        global events
        if events == allowed:
            os.kill(os.getpid(), signal.SIGKILL)
        events += 1

    def watched(function):
        def call(*args, **kwargs):
            count()
            result = function(*args, **kwargs)
            count()
            return result
        return call

    os.fsync = watched(os.fsync)
    Path.rename = watched(Path.rename)

    def make(folder):
        print("making", flush=True)
        (folder / "a.bin").write_bytes(b"a" * 100)
        count()
        (folder / "b").mkdir()
        (folder / "b" / "c.bin").write_bytes(b"c" * 10)
        time.sleep(pause_seconds)

    store = hs.Store.open(root)
    print("ready", flush=True)
    sys.stdin.readline()
    path = store.cached("tokens-0a1b2c", make)
    print("events", events, "content", len((path / "a.bin").read_bytes()), flush=True)
    sys.stdin.readline()
"""


def letters(folder: Path) -> None:
    (folder / "a.txt").write_text("abc")
    (folder / "more").mkdir()
    (folder / "more" / "d.txt").write_text("defg")


def never(folder: Path) -> None:
    raise AssertionError("it is there already")


def run(python: Start, store: hs.Store, allowed: int) -> tuple[int, str]:
    process = python(MAKER, store.root, allowed, 0.0)
    output, errors = process.communicate("go\nend\n", timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode, output


def test_a_cache_is_made_once(store: hs.Store) -> None:
    path = store.cached("letters-1", letters)
    assert path == store.root / "cache" / "letters-1"
    assert (path / "more" / "d.txt").read_text() == "defg"
    assert store.cached("letters-1", never) == path
    assert hs.Store.open(store.root).cached("letters-1", never) == path
    assert [actual.name for actual in (store.root / "cache").iterdir()] == ["letters-1"]


def test_caches_are_listed_by_last_use(store: hs.Store) -> None:
    first, second = store.cached("first", letters), store.cached("second", letters)
    hour_ago = time.time() - 3600
    os.utime(first, (hour_ago, hour_ago))
    assert [(one.name, one.path, one.size_bytes) for one in store.caches()] == [
        ("first", first, 7),
        ("second", second, 7),
    ]
    store.cached("first", never)
    assert [one.name for one in store.caches()] == ["second", "first"]
    assert datetime.now(UTC) - store.caches()[1].used < timedelta(minutes=1)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "A", "a b", "-a", ".a", "a" * 101])
def test_only_plain_names_are_taken(store: hs.Store, name: str) -> None:
    with pytest.raises(hs.InvalidContent, match="cannot be the name of a cache"):
        store.cached(name, letters)
    with pytest.raises(hs.InvalidContent):
        store.remove_cache(name)
    assert not (store.root / "cache").exists()


def test_a_maker_that_fails_leaves_nothing(store: hs.Store) -> None:
    def fails(folder: Path) -> None:
        letters(folder)
        raise KeyError("in the middle")

    with pytest.raises(KeyError, match="in the middle"):
        store.cached("letters", fails)
    assert list((store.root / "cache").iterdir()) == []
    assert store.caches() == []
    assert (store.cached("letters", letters) / "a.txt").exists()


def test_what_a_maker_cannot_do_is_told_apart(store: hs.Store) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def unreadable(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else")

    with pytest.raises(hs.DiskFull, match="No space left"):
        store.cached("letters", full)
    with pytest.raises(PermissionError):  # not the store's fault: it must not be blamed
        store.cached("letters", unreadable)


def test_a_cache_is_never_needed(filled: Any) -> None:
    before = filled.store.doctor(checksums=True)
    path = filled.store.cached("letters", letters)
    filled.store.remove_cache("letters")
    assert not path.exists()
    assert filled.store.doctor(checksums=True) == before
    assert (filled.store.cached("letters", letters) / "a.txt").read_text() == "abc"
    assert filled.store.artifacts() == [
        filled.model,
        filled.embeddings,
        filled.run,
        filled.evaluation,
    ]
    assert filled.store.catalog.query("SELECT count(*) FROM artifacts").rows == ((4,),)


def test_removing_what_is_not_there_names_what_is(store: hs.Store) -> None:
    store.cached("letters", letters)
    with pytest.raises(hs.ArtifactNotFound, match="'numbers'") as caught:
        store.remove_cache("numbers")
    assert "letters" in str(caught.value.hint)


def test_a_cache_in_use_stays(store: hs.Store) -> None:
    user = hs.Store.open(store.root)
    user.cached("letters", letters)
    with pytest.raises(hs.ArtifactBusy, match=f"process {os.getpid()} "):
        store.remove_cache("letters")
    assert store.doctor(clean=True).caches == 1
    assert user.doctor(clean=True).caches == 1
    del user
    gc.collect()
    report = store.doctor(clean=True)
    assert (report.caches, report.cache_bytes, report.findings) == (0, 0, ())


def test_a_cache_in_use_by_another_process_stays_until_it_ends(
    store: hs.Store, python: Start
) -> None:
    other = python(MAKER, store.root, -1, 0.0)
    other.stdin.write("go\n")
    other.stdin.flush()
    while not other.stdout.readline().startswith("events"):
        pass
    with pytest.raises(hs.ArtifactBusy, match=f"process {other.pid} "):
        store.remove_cache("tokens-0a1b2c")
    assert store.doctor(clean=True).caches == 1
    other.kill()
    other.wait()
    store.remove_cache("tokens-0a1b2c")
    assert store.caches() == []


def test_locks_of_ended_users_do_not_pile_up(store: hs.Store) -> None:
    for _ in range(3):
        hs.Store.open(store.root).cached("letters", letters)
        gc.collect()
    store.cached("letters", never)
    assert len(list((store.root / "locks" / "cache" / "letters").glob("*.lock"))) == 2


def test_doctor_tells_the_size_of_caches_and_calls_it_no_problem(store: hs.Store) -> None:
    store.cached("letters", letters)
    report = store.doctor(checksums=True)
    assert (report.caches, report.cache_bytes, report.findings) == (1, 7, ())


def test_several_processes_at_once_make_it_once(store: hs.Store, python: Start) -> None:
    makers = [python(MAKER, store.root, -1, 0.5) for _ in range(3)]
    for maker in makers:
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        maker.stdin.write("go\n")
        maker.stdin.flush()
    outputs = [maker.communicate("end\n", timeout=60)[0] for maker in makers]
    assert sum("making" in output for output in outputs) == 1
    assert all("content 100" in output for output in outputs)
    assert [maker.returncode for maker in makers] == [0, 0, 0]


def test_waiting_for_another_maker_ends(store: hs.Store, python: Start) -> None:
    other = python(MAKER, store.root, -1, 60.0)
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("go\n")
    other.stdin.flush()
    assert other.stdout.readline() == "making\n"
    with pytest.raises(hs.ArtifactBusy, match=f"process {other.pid} .*waited 0.3 s"):
        store.cached("tokens-0a1b2c", never, wait_seconds=0.3)
    assert store.doctor(clean=True).findings == ()  # what is being made is no leftover
    assert [path.suffix for path in (store.root / "cache").iterdir()] == [".tmp"]


@pytest.mark.parametrize("clean", [False, True])
def test_a_killed_maker_leaves_it_whole_or_not_there(
    store: hs.Store, python: Start, clean: bool
) -> None:
    run(python, store, -1)  # the folder of all caches is there from now on
    store.remove_cache("tokens-0a1b2c")
    code, output = run(python, store, -1)
    events = int(output.split()[output.split().index("events") + 1])
    assert events > 9
    store.remove_cache("tokens-0a1b2c")
    for allowed in range(int(clean), events, 2):  # the two cases together try every moment
        assert run(python, store, allowed)[0] == -signal.SIGKILL
        existing = [cache.size_bytes for cache in store.caches()]
        assert existing in ([], [110])
        report = store.doctor(clean=clean)
        assert report.healthy
        if clean:
            assert (report.findings, list((store.root / "cache").iterdir())) == ((), [])
        elif not existing:
            assert [finding.remedy for finding in report.findings] == ["hype doctor --clean"]
        code, output = run(python, store, -1)
        assert (code, "content 100" in output) == (0, True)
        assert [path.name for path in (store.root / "cache").iterdir()] == ["tokens-0a1b2c"]
        store.remove_cache("tokens-0a1b2c")


def test_the_temporary_folder_of_another_cache_is_left_alone(store: hs.Store) -> None:
    other = store.root / "cache" / ".letters.more.12-0a0b0c0d.tmp"
    own = store.root / "cache" / ".letters.12-0a0b0c0d.tmp"
    for folder in (other, own):
        folder.mkdir(parents=True)
    store.cached("letters", letters)
    assert (other.exists(), own.exists()) == (True, False)


READER = """
    import json, os, sys
    import encodings.idna
    import hypestore as hs

    if os.geteuid() == 0:  # root may write anywhere: become somebody who may not
        os.setgid(65534)
        os.setuid(65534)
    store = hs.Store.open(sys.argv[1])

    def make(folder):
        raise AssertionError

    print((store.cached("letters", make) / "a.txt").read_text())
    try:
        store.cached("numbers", make)
    except hs.StoreNotWritable as error:
        print(error.message)
    try:
        store.remove_cache("letters")
    except hs.StoreNotWritable as error:
        print(error.message)
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX permissions")
def test_a_read_only_store_uses_what_is_there(
    open_folder: Path, python: Start, snapshot: Callable[[Path], object]
) -> None:
    store = hs.Store.create(open_folder / "store")
    store.cached("letters", letters)
    for path in [store.root, *store.root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(store.root)
    output, errors = python(READER, store.root).communicate(timeout=60)
    assert snapshot(store.root) == before
    lines = output.splitlines()
    assert lines[0] == "abc", errors
    assert [line.split(":")[0][:15] for line in lines[1:]] == ["Cannot write in"] * 2
