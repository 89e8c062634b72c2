"""The commit that a result names is that of the checkout with the code, and git never runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hypencli.runtime import code_revision, provenance

AUTHOR = ("-c", "user.name=A", "-c", "user.email=a@example.org")

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit(folder: Path) -> str:
    """Make a repository with one commit; gives the commit."""
    folder.mkdir(exist_ok=True)
    git(folder, "init", "--quiet")
    git(folder, *AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "first")
    return git(folder, "rev-parse", "HEAD")


def package(checkout: Path) -> Path:
    folder = checkout / "hypencli"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    assert code_revision(package(checkout)) is None, "no checkout"
    git(checkout, "init", "--quiet")
    assert code_revision(package(checkout)) is None, "nothing is committed yet"
    head = commit(checkout)
    assert code_revision(package(checkout)) == head
    git(checkout, "pack-refs", "--all")
    assert code_revision(package(checkout)) == head, "the branch lies in packed-refs"
    git(checkout, "checkout", "--quiet", "--detach")
    assert code_revision(package(checkout)) == head, "HEAD is the commit itself"


def test_the_commit_of_a_worktree(tmp_path: Path) -> None:
    commit(tmp_path / "checkout")
    other = tmp_path / "other"
    git(tmp_path / "checkout", "worktree", "add", "--quiet", str(other))
    git(other, *AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "second")
    head = git(other, "rev-parse", "HEAD")
    assert code_revision(package(other)) == head
    git(other, "pack-refs", "--all")
    assert code_revision(package(other)) == head


def test_the_checkout_around_a_virtual_environment_is_not_that_of_the_code(tmp_path: Path) -> None:
    project = tmp_path / "project"
    commit(project)
    assert code_revision(package(project / ".venv/lib/python3.11/site-packages")) is None


def test_the_current_folder_is_neither_recorded_nor_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration of a repository names a command, which ``git status`` would run."""
    head = commit(tmp_path / "given")
    ran = tmp_path / "ran"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch '{ran}'\n", encoding="utf-8")
    hook.chmod(0o755)
    git(tmp_path / "given", "config", "core.fsmonitor", str(hook))
    monkeypatch.chdir(tmp_path / "given")
    assert provenance()["git"] != head
    assert not ran.exists()
    git(tmp_path / "given", "status")
    assert ran.exists(), "the command is one that git runs"


@pytest.mark.parametrize("content", ["", "ref: refs/heads/none\n", "0" * 39, "\xff"])
def test_a_head_that_names_no_commit(tmp_path: Path, content: str) -> None:
    commit(tmp_path / "checkout")
    (tmp_path / "checkout/.git/HEAD").write_text(content, encoding="latin-1")
    assert code_revision(package(tmp_path / "checkout")) is None
