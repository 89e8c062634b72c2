"""What tells whether hostile input did anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that is nobody's business: the test fails where a file of it changes or comes."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_text("the-secret", encoding="utf-8")
    before = contents(folder)
    yield folder
    assert contents(folder) == before


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A path that nothing may make: payloads try to, and the test fails where one did."""
    path = tmp_path / "payload-ran"
    yield path
    assert not path.exists()
