"""Commands that install optional packages."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hypencli.packages import REQUIREMENTS, install_command


def test_requirements_are_those_of_the_extras(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert set(REQUIREMENTS.values()) == {
        *extras["ann"],
        *extras["bm25"],
        *extras["nn-descent"],
        *extras["serve"],
    }


@pytest.mark.parametrize("module", REQUIREMENTS)
def test_the_command_names_no_package_of_this_project(module: str) -> None:
    """Nobody owns the name of this project on an index; whoever takes it would be installed."""
    assert install_command(module) == f"pip install '{REQUIREMENTS[module]}'"


def test_no_text_tells_to_install_this_project_by_name(repository: Path) -> None:
    for folder in ("hypencli", "store", "docs"):
        for path in (repository / folder).rglob("*.[pm][yd]"):
            for words in ("pip install hypencli", "pip install 'hypencli", "--upgrade hypencli"):
                assert words not in path.read_text(encoding="utf-8"), path
