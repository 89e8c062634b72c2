"""Texts of users that are paths, and those that can be none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hypencli.paths import exists, is_dir, is_file, user_path

IMPOSSIBLE = ["a" * 5000, "é" * 200, "a\0b", "~nosuchuser/x", "x/" * 3000, ""]


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_a_text_that_can_be_no_path_is_that_of_nothing(text: str) -> None:
    path = user_path(text)
    assert (is_file(path), is_dir(path)) == (False, text == "")  # "" is the current folder
    assert exists(path) == (text == "")


def test_a_home_folder_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == tmp_path / "x"
    assert user_path(Path("~")) == tmp_path
    assert user_path("~nosuchuser/x") == Path("~nosuchuser/x")


def test_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    seen = {
        name: (exists(tmp_path / name), is_file(tmp_path / name), is_dir(tmp_path / name))
        for name in ("file", "pipe", "circle", ".")
    }
    assert seen == {
        "file": (True, True, False),
        "pipe": (True, False, False),
        "circle": (False, False, False),
        ".": (True, False, True),
    }
