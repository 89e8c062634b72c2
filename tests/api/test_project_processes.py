"""Projects in forked processes, and projects that are interrupted."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import hypencli

HYPER = {"model": "hyper", "embeddings": "hyper-docs"}
SECONDS = 120
"""Only a process that hangs takes so long."""


@pytest.fixture
def project(study: Path) -> hypencli.Project:
    return hypencli.open_store(study)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Threads of OpenMP in this process, which its forks do not have."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def forked(work: Callable[[], object]) -> int:
    """Run a function in a fork of this process, and return the number of the fork."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        os._exit(code)


def exit_code(child: int) -> int | None:
    """The exit code of a fork; None if it hangs, and then it is killed."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forks_of_a_process_that_has_searched_can_search(
    project: hypencli.Project, two_threads: None
) -> None:
    texts = [f"river and boat number {i}" for i in range(200)]
    expected = [hit.doc_id for hit in project.query("river", k=3, **HYPER).hits]
    project.encode(texts, model="hyper")

    def work(number: int) -> None:
        assert [hit.doc_id for hit in project.query("river", k=3, **HYPER).hits] == expected
        project.encode([*texts, str(number)], model="hyper")
        project.search([f"moon {number}"], k=5, **HYPER)

    children = [forked(lambda number=i: work(number)) for i in range(2)]  # type: ignore[misc]
    project.search(["moon"], k=5, **HYPER)
    assert [exit_code(child) for child in children] == [0, 0]
    assert torch.get_num_threads() == 2
    assert project.sql("SELECT count(*) AS n FROM runs").to_dicts() == [{"n": 5}]


def test_an_interrupted_call_lets_go_of_its_locks(project: hypencli.Project, study: Path) -> None:
    texts = [f"river and boat number {i}" for i in range(4000)]
    folder = study / "embeddings"
    before = set(folder.rglob("*.parquet"))

    def interrupt() -> None:
        while set(folder.rglob("*.parquet")) <= before:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    settings = {"model": "plain", "shard_rows": 100, "batch_size": 4}
    handler = signal.getsignal(signal.SIGINT)
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        project.encode(texts, **settings)
    watcher.join()
    assert signal.getsignal(signal.SIGINT) is handler
    assert [one.unfinished for one in project.embeddings()].count(True) == 1
    assert project.encode(texts, **settings).n_documents == 4000
    assert not any(one.unfinished for one in project.embeddings())
    assert hypencli.open_store(study).store.doctor().healthy
