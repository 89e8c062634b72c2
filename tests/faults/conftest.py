"""The command line run in this process, and one store for all cases of a module."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Hype


@pytest.fixture(scope="module")
def bench(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished study that the cases of a module share: each has files of its own."""
    return Path(shutil.copytree(finished_study, tmp_path_factory.mktemp("bench") / "study"))


@pytest.fixture
def hype(bench: Path, hype: Hype) -> Iterator[Hype]:
    """Run a command in that store; whatever a test did to it, the store is whole behind it."""

    def run(*arguments: object) -> Any:
        return hype(*arguments, "--store", bench)

    yield run
    assert run("doctor").code == 0


@pytest.fixture
def artifacts(bench: Path) -> Callable[[], set[str]]:
    """The ids of all finished artifacts."""
    return lambda: {path.parent.name for path in bench.rglob("manifest.json")}
