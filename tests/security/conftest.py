"""The command line run in this process, and what tells whether hostile input did anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hypencli.__main__ import main


@dataclass(frozen=True)
class Outcome:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Hype = Callable[..., Outcome]


@pytest.fixture
def hype(capsys: pytest.CaptureFixture[str]) -> Hype:
    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


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
