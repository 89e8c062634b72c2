"""What docs/replication.md says: every table is on it, its example loads, its keys exist."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from hypencli.recipe.replication import (
    Pool,
    ReplicatedDataset,
    ReplicatedModel,
    Replication,
    list_replications,
    load_replication,
)


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "replication.md").read_text(encoding="utf-8")


def test_every_table_is_on_the_page(page: str) -> None:
    rows = page[page.index("| table | what |") :].partition("\n\n")[0]
    named = re.findall(r"^\| `([\w-]+)` \|", rows, re.MULTILINE)
    assert sorted(named) == [one.name for one in list_replications()]


def test_the_example_loads(page: str, tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "table.toml"
    path.write_text(block, encoding="utf-8")
    recipe = load_replication(path)
    assert recipe.datasets["questions"].queries == str(tmp_path / "questions.jsonl")
    assert list(recipe.searches) == ["exact", "quick"]


def test_what_the_commands_set_and_choose_is_there(page: str) -> None:
    commands = re.findall(r"^    hype replicate (.*)$", page, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        name, *options = shlex.split(command)
        settings = [value for key, value in pairwise(options) if key == "--set"]
        recipe = load_replication(name, settings)
        selected = dict(pairwise(options))
        assert set(selected.get("--models", "hypencoder").split(",")) <= set(recipe.models)
        expected_names = {*recipe.datasets, *recipe.pools}
        assert set(filter(None, selected.get("--datasets", "").split(","))) <= expected_names


def test_the_keys_of_the_page_exist(page: str) -> None:
    rows = page[page.index("| key | what |") :].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in rows.splitlines()[2:]]
    keys = [key for cell in cells for key in re.findall(r"`([\w.]+)`", cell)]
    assert len(keys) == 14
    sections = {"models": ReplicatedModel, "datasets": ReplicatedDataset, "pools": Pool}
    for key in keys:
        first, *rest = key.split(".")
        assert first in Replication.model_fields
        if rest:
            assert rest[-1] in sections[first].model_fields
