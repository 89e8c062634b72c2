"""The recipes of docs/training.md load, and so does what its commands make of them."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from hypencli.recipe import load_recipe


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "training.md").read_text(encoding="utf-8")


@pytest.fixture
def study(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the commands run in, with the page's recipes above it."""
    for before, block in re.findall(r"(.*?)```toml\n(.*?)```", page, re.DOTALL):
        name = re.findall(r"`(\w+\.toml)`", before)[-1]
        (tmp_path / name).write_text(block, encoding="utf-8")
    folder = tmp_path / "study"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def trainings(page: str) -> list[list[str]]:
    """The words after ``train`` of every command, the recipe first."""
    lines = re.findall(r"^    \$ (.*(?:hype|hypencli) train .*)$", page, re.MULTILINE)
    words = [shlex.split(line.split(";")[0]) for line in lines]
    return [each[each.index("train") + 1 :] for each in words]


@pytest.mark.usefixtures("study")
def test_every_training_has_a_recipe(page: str) -> None:
    assert len(trainings(page)) > 8
    for recipe, *options in trainings(page):
        settings = [value for name, value in pairwise(options) if name == "--set"]
        assert load_recipe(recipe, settings).data.train


def test_every_recipe_of_the_page_is_trained(page: str, study: Path) -> None:
    written = {path.name for path in study.parent.glob("*.toml")}
    assert len(written) == page.count("```toml")
    assert written == {Path(recipe).name for recipe, *_ in trainings(page) if "/" in recipe}
