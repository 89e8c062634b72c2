"""What the suite itself promises: one cause is one error, and its processes never spin."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import time
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def broken():
    raise RuntimeError("the one cause")

@pytest.fixture(scope="session")
def slow():
    time.sleep(1.5)

@pytest.fixture(scope="session")
def shared_folder(made_once):
    return made_once("folder", lambda folder: (folder / "file").write_text("made"))

@pytest.fixture(scope="session")
def failed_elsewhere(made_once, tmp_path_factory):
    (tmp_path_factory.getbasetemp() / "other.failed").write_text("another process")
    return made_once("other", lambda folder: None)

@pytest.mark.parametrize("number", range(5))
def test_broken(broken, number): pass

@pytest.mark.timeout(1)
def test_slow(slow): pass

def test_shared(shared_folder, made_once):
    assert (shared_folder / "file").read_text() == "made"
    assert made_once("folder", None) == shared_folder

def test_failed_elsewhere(failed_elsewhere): pass

@pytest.mark.skip(reason="no Chromium on the path")
def test_required(): pass

@pytest.mark.skip(reason="no CUDA device")
def test_not_required(): pass
"""


@pytest.mark.parametrize("ci", ["", "true"])
def test_one_cause_is_one_error(ci: str, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -ra\n", encoding="utf-8")
    alone = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp=tmp"],
        cwd=tmp_path,
        env={**alone, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout
    counts = "2 passed, 6 skipped, 2 errors" if ci else "2 passed, 7 skipped, 1 error"
    assert counts in said, said
    assert "SKIPPED [4]" in said
    assert "set-up failed, see the error of test_it.py::test_broken[0]" in said
    assert "other was not made, see the error of another process" in said
    assert ("Skipped, which CI does not allow: no Chromium on the path" in said) == bool(ci)


def test_no_thread_of_the_suite_spins() -> None:
    """Here, and in what the tests start: a thread that spins takes the core that others need."""
    import torch

    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    assert torch.get_num_threads() == 1
