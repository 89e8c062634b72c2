"""A dataset's folder appears as a whole, whatever happens while it is made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hypencli.data.prepare.staging import staged_folder
from hypencli.errors import DataError, UsageError

MAKE = """
import os, signal, sys
from pathlib import Path
from hypencli.data.prepare.staging import staged_folder
with staged_folder(Path(sys.argv[1])) as work:
    (work.downloads / "got.zip").write_text("downloaded")
    (work.out / "rows.jsonl").write_text("half")
    (work.unpacked / "x").write_text("unpacked")
    {then}
"""


def make(place: Path, then: str = "pass") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAKE.format(then=then), str(place)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def write(place: Path, text: str) -> None:
    with staged_folder(place) as work:
        assert list(work.out.iterdir()) == []
        (work.out / "rows.jsonl").write_text(text, encoding="utf-8")
        assert not place.exists() or (place / "rows.jsonl").read_text(encoding="utf-8") != text


def stop(place: Path, downloaded: str | None = None) -> None:
    with staged_folder(place) as work:
        (work.out / "rows.jsonl").write_text("two", encoding="utf-8")
        if downloaded is not None:
            (work.downloads / "got.zip").write_text(downloaded, encoding="utf-8")
        raise ValueError("stop")


def test_a_folder_is_made_and_replaced(tmp_path: Path) -> None:
    place = tmp_path / "data" / "set"
    write(place, "one")
    assert (place / "rows.jsonl").read_text(encoding="utf-8") == "one"
    write(place, "two")
    assert (place / "rows.jsonl").read_text(encoding="utf-8") == "two"
    assert list(place.parent.iterdir()) == [place]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "set"
    write(place, "one")
    with pytest.raises(ValueError, match="stop"):
        stop(place)
    assert (place / "rows.jsonl").read_text(encoding="utf-8") == "one"
    assert list(tmp_path.iterdir()) == [place]


def test_downloads_outlive_an_error_and_no_more(tmp_path: Path) -> None:
    place = tmp_path / "set"
    with pytest.raises(ValueError, match="stop"):
        stop(place, downloaded="downloaded")
    with staged_folder(place) as work:
        assert (work.downloads / "got.zip").read_text(encoding="utf-8") == "downloaded"
        (work.out / "x").touch()
    assert list(tmp_path.iterdir()) == [place]


def test_a_kill_is_made_good_by_the_next_command(tmp_path: Path) -> None:
    place = tmp_path / "set"
    killed = make(place, "os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.returncode == -signal.SIGKILL
    assert not place.exists()
    with staged_folder(place) as work:
        assert list(work.out.iterdir()) == []
        assert list(work.unpacked.iterdir()) == []
        assert (work.downloads / "got.zip").read_text(encoding="utf-8") == "downloaded"
        (work.out / "x").touch()
    assert list(tmp_path.iterdir()) == [place]


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    place = tmp_path / "set"
    write(place, "one")
    work = tmp_path / ".set.work"
    work.mkdir()
    place.rename(work / "replaced")
    with pytest.raises(ValueError, match="stop"), staged_folder(place):
        raise ValueError("stop")
    assert (place / "rows.jsonl").read_text(encoding="utf-8") == "one"
    assert list(tmp_path.iterdir()) == [place]


def test_a_rename_that_fails_puts_back_what_was_there(tmp_path: Path) -> None:
    """What was to become the dataset is gone when its turn comes."""
    place = tmp_path / "set"
    write(place, "one")
    with pytest.raises(DataError, match="cannot be written"), staged_folder(place) as work:
        shutil.rmtree(work.out)
    assert (place / "rows.jsonl").read_text(encoding="utf-8") == "one"
    assert list(tmp_path.iterdir()) == [place]


def test_an_empty_folder_may_be_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    monkeypatch.chdir(tmp_path / "set")
    with staged_folder(Path()) as work:
        (work.out / "rows.jsonl").write_text("one", encoding="utf-8")
    assert (tmp_path / "set" / "rows.jsonl").read_text(encoding="utf-8") == "one"


def test_two_at_once(tmp_path: Path) -> None:
    place = tmp_path / "set"
    with staged_folder(place) as work:
        (work.out / "rows.jsonl").write_text("mine", encoding="utf-8")
        other = make(place)
        assert "UsageError: Another process is preparing" in other.stderr
        with pytest.raises(UsageError, match="Another process"), staged_folder(place):
            pass
    assert (place / "rows.jsonl").read_text(encoding="utf-8") == "mine"
    assert make(place).returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="cannot be written"), staged_folder(tmp_path / "set"):
        pass


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written") as caught:
        write(tmp_path / "file" / "set", "one")
    assert "`output=FOLDER`" in str(caught.value.hint)
