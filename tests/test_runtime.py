"""The revision that a result names is that of the folder where it was made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hypencli.runtime import git_revision

AUTHOR = ("-c", "user.name=A", "-c", "user.email=a@example.org")

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_revision_and_what_was_changed_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    assert git_revision(tmp_path) is None, "nothing is committed yet"
    (tmp_path / "file").write_text("1\n", encoding="utf-8")
    git(tmp_path, "add", "file")
    git(tmp_path, *AUTHOR, "commit", "--quiet", "--message", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert git_revision(tmp_path) == head
    (tmp_path / "another").write_text("2\n", encoding="utf-8")
    assert git_revision(tmp_path) == f"{head}+dirty"
    (tmp_path / "another").unlink()
    (tmp_path / "file").write_text("3\n", encoding="utf-8")
    assert git_revision(tmp_path) == f"{head}+dirty"


def test_the_current_folder_is_meant_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert git_revision() is None
    git(tmp_path, "init", "--quiet")
    git(tmp_path, *AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "first")
    assert git_revision() == git(tmp_path, "rev-parse", "HEAD")
