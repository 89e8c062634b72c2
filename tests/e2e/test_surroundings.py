"""Commands with closed streams, with ASCII output, in a deleted folder, under a path of bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HYPE = f"{sys.executable} -P -m hypencli"
Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(repository: Path) -> Shell:
    """Run a line of bash in which ``hype`` is the command."""

    def run(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(repository), str(repository / "store")])
        return subprocess.run(
            ["bash", "-c", line.replace("hype ", f"{HYPE} ")],
            capture_output=True,
            check=False,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path, **environment},
        )

    return run


@pytest.fixture
def accented(study: Path) -> Path:
    """A store with a run whose name is not ASCII."""
    import hypestore

    with hypestore.Store.open(study).run_writer("run", {"k": 1}, name="né😀") as writer:
        writer.queries([("q0", "é")])
        writer.append(["q0"], ["d1"], [1], [1.0])
        writer.commit()
    return study


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_the_null_device(closed: str, shell: Shell, study: Path) -> None:
    done = shell(f"hype ls --store {study} {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("hyper-run" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
    wrong = shell(f"hype show nothing --store {study} {closed}")
    assert wrong.returncode == 4
    assert ("Error: " in wrong.stderr) == ("2>&-" not in closed)


def test_closed_streams_are_not_the_files_that_are_opened_next(
    shell: Shell, study: Path, tmp_path: Path
) -> None:
    run = tmp_path / "x.trec"
    done = shell(f"hype export run hyper-run -o {run} --store {study} <&- >&- 2>&-")
    assert done.returncode == 0
    assert run.read_text(encoding="utf-8").startswith("q0 Q0 d")
    assert shell(f"hype doctor --checksums --store {study}").returncode == 0


def test_queries_of_a_closed_stdin_are_none(shell: Shell, study: Path) -> None:
    done = shell(f"hype search - --model hyper --store {study} <&-")
    assert done.returncode == 5
    assert "standard input" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-8"])
def test_json_is_the_same_text_in_every_encoding(
    encoding: str, shell: Shell, accented: Path
) -> None:
    done = shell(
        f"hype ls --json --store {accented} | iconv -f {encoding} -t utf-8",
        PYTHONIOENCODING=encoding,
    )
    assert done.stderr == ""
    assert "né😀" in [one["name"] for one in json.loads(done.stdout)]


@pytest.mark.parametrize(
    "verb",
    ["ls", "show 'né😀'", "report --sql 'SELECT name FROM runs'"]
    + [
        f"report --sql 'SELECT name FROM runs' --format {one}"
        for one in ("csv", "markdown", "latex")
    ],
)
def test_ascii_output_escapes_what_it_does_not_have(
    verb: str, shell: Shell, accented: Path
) -> None:
    done = shell(f"hype {verb} --store {accented}", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "\\u00e9" in done.stdout or "textbackslash" in done.stdout


@pytest.mark.parametrize("verb", ["ls", "init", "init x", "engines", "encode x.jsonl --store ."])
def test_a_deleted_folder_is_named(verb: str, shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    done = shell(f"cd {folder}; rmdir {folder}; hype {verb}")
    if verb == "engines":  # it needs no folder
        assert done.returncode == 0
        return
    assert done.returncode in (2, 4)
    assert done.stderr.count("Error: The current folder was deleted.\nGo to one") == 1
    assert "Traceback" not in done.stderr


@pytest.fixture
def study_of_bytes(finished_study: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the study under a path that is not UTF-8; removed, as pytest cannot name it."""
    folder = tmp_path / "\udcff"
    yield Path(shutil.copytree(finished_study, folder / "study"))
    shutil.rmtree(folder)


def test_a_store_whose_path_is_not_utf_8_is_refused(shell: Shell, study_of_bytes: Path) -> None:
    there = f"cd {study_of_bytes.parent.parent}/$'\\xff'/study; "
    for verb in ("ls", "report", "init new"):
        done = shell(there + f"hype {verb}")
        assert done.returncode == 4
        assert "is not valid UTF-8: " in done.stderr
        assert "\\xff/study" in done.stderr
    named = shell(there + "hype ls --json --store $PWD")
    assert named.returncode == 2
    assert json.loads(named.stdout)["error"]["message"].endswith("is not valid UTF-8.")
