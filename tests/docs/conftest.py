"""The examples of docs/extending.md as a package that is installed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypencli import plugins
from tests.docs.installing import Example, install_examples, read_example


@pytest.fixture(scope="session")
def extending_page(repository: Path) -> str:
    return (repository / "docs" / "extending.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def installed_examples(extending_page: str, made_once: Callable[..., Path]) -> Path:
    """Where pip installed all examples of the page."""
    return made_once("extending", lambda folder: install_examples(extending_page, folder)) / "site"


@pytest.fixture
def examples_on_path(
    installed_examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the installed examples that lies on the path, in no folder of the interpreter."""
    site = Path(shutil.copytree(installed_examples, tmp_path / "site"))
    monkeypatch.syspath_prepend(str(site))
    yield site
    for file in site.glob("*.py"):
        sys.modules.pop(file.stem, None)


@pytest.fixture
def site(examples_on_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same copy, in a folder where the interpreter's packages are installed."""
    folders = plugins._install_folders() | {examples_on_path.resolve()}
    monkeypatch.setattr(plugins, "_install_folders", lambda: folders)
    return examples_on_path


@pytest.fixture
def example(extending_page: str) -> Callable[[str], Example]:
    """Read the example below a heading of the page."""
    return lambda heading: read_example(extending_page, heading)
