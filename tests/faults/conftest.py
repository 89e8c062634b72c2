"""The command line run in this process, and one store for all cases of a module."""

from __future__ import annotations

import json
import shutil
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


@pytest.fixture(scope="module")
def bench(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished study that the cases of a module share: each has files of its own."""
    return Path(shutil.copytree(finished_study, tmp_path_factory.mktemp("bench") / "study"))


@pytest.fixture
def hype(bench: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Hype]:
    """Run a command in that store; whatever a test did to it, the store is whole behind it."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([*map(str, arguments), "--store", str(bench)])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    yield run
    assert run("doctor").code == 0


@pytest.fixture
def artifacts(bench: Path) -> Callable[[], set[str]]:
    """The ids of all finished artifacts."""
    return lambda: {path.parent.name for path in bench.rglob("manifest.json")}
