"""A process of hype's own ends at once, with what was printed and what was asked to run at exit."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from hypencli.__main__ import main

SCRIPT = """
import atexit, sys
import hypencli.__main__

class Kept:
    def __del__(self):
        print("taken apart")

kept = Kept()
cycle = [kept]
cycle.append(cycle)
answer = hypencli.__main__._answer

def answered(*arguments, **options):
    atexit.register(print, "asked for")
    return answer(*arguments, **options)

hypencli.__main__._answer = answered
hypencli.__main__.main()
print("never here")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_what_others_registered_runs_and_nothing_is_taken_apart() -> None:
    done = run("--version")
    assert done.returncode == 0
    version, *rest = done.stdout.splitlines()
    assert version.startswith("hype ")
    assert rest == ["asked for"]
    assert done.stderr == ""


def test_the_exit_code_of_an_error_is_kept(tmp_path: Path) -> None:
    done = run("ls", "--store", str(tmp_path / "nowhere"))
    assert done.returncode == 4
    assert done.stderr.startswith("Error: ")
    assert done.stdout.splitlines() == ["asked for"]


def test_after_a_traceback_python_ends_by_itself(tmp_path: Path) -> None:
    done = run("ls", "--store", str(tmp_path / "nowhere"), "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stdout.splitlines()[:2] == ["asked for", "taken apart"]


def test_output_that_cannot_be_written_is_told() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = [sys.executable, "-m", "hypencli", "recipes"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert "No space left" in done.stderr


def test_a_call_from_python_changes_nothing_of_its_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = gc.get_threshold()
    assert main(["--version"]) == 0
    assert gc.get_threshold() == before
    assert capsys.readouterr().out.startswith("hype ")
