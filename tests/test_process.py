"""A process of hype's own ends at once, with what was printed and what was asked to run at exit."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypencli.__main__ import main
from hypencli.process import allowed_cores, set_threading

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


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "?"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
    ids=[
        "limit",
        "part of a core",
        "no limit",
        "damaged",
        "first version",
        "first, none",
        "absent",
    ],
)
def test_the_cores_of_a_container_are_read(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="ascii")
    assert allowed_cores(tmp_path) == expected


def test_threads_sleep_and_are_as_many_as_the_container_may_use(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("200000 100000", encoding="ascii")
    fewer: dict[str, str] = {}
    set_threading(fewer, cores=8, cgroups=tmp_path)
    assert fewer == {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2"}
    enough: dict[str, str] = {}
    set_threading(enough, cores=2, cgroups=tmp_path)
    assert enough == {"OMP_WAIT_POLICY": "passive"}
    own = {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "5"}
    set_threading(own, cores=8, cgroups=tmp_path)
    assert own == {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "5"}


def test_only_the_command_sets_how_threads_wait() -> None:
    """A library must not change the environment of the program that imports it."""
    script = """
import os, sys
import hypencli, hypencli.__main__

answer = hypencli.__main__._answer

def answered(*arguments, **options):
    print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
    return answer(*arguments, **options)

print(os.environ.get("OMP_WAIT_POLICY"))
hypencli.__main__._answer = answered
sys.argv = ["hype", "--version"]
hypencli.__main__.main()
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines()[:2] == ["None", "passive False"]
