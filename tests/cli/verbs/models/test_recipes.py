"""``hype recipes``: what a reader at 80 columns sees, and what a program gets."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from hypencli.cli.output import terminal
from hypencli.recipe import list_recipes, load_recipe, resolve_recipe

Hype = Any


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_WIDTH_OF_FILES", 80)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_the_list_fits_80_columns_under_its_groups(hype: Hype) -> None:
    printed = lines(hype("recipes").out)
    assert max(map(len, printed)) <= 80
    group = None
    seen: dict[str, str] = {}
    for line in printed:
        if line and not line.startswith(" "):
            group = line
        elif line.startswith("  ") and line[2] != " ":
            seen[line.split()[0]] = str(group)
    expected = {one.name: str(one.group).capitalize() for one in list_recipes()}
    assert seen == expected
    assert "hype recipes NAME" in printed[-1]


def test_the_list_for_programs(hype: Hype) -> None:
    outcome = {one["name"]: one for one in hype("recipes", "--json").json}
    assert outcome["followir"]["group"] == "hard tasks"
    assert outcome["followir"]["path"].endswith("followir.toml")
    assert outcome["followir"]["description"]


def test_a_recipe_is_shown_a_section_at_a_time_in_toml(hype: Hype) -> None:
    printed = lines(hype("recipes", "show", "hypencoder-6").out)
    assert max(map(len, printed)) <= 80
    for heading in ("[model]", "[model.converter]", "[data]", "[training]"):
        assert printed.count(heading) == 1
    assert [line for line in printed if line.startswith("[[")] == [
        "[[losses]]  losses.0",
        "[[losses]]  losses.1",
    ]
    text = "\n".join(printed)
    assert "* steps = 800000" in text
    assert "  epochs = none" in text
    assert "  freeze_encoder = false" in text
    assert '\n* train = "jfkback/hypencoder-msmarco-training-dataset"\n' in text
    assert "  validation = none" in text


@pytest.mark.parametrize("name", ["hypencoder-6", "matryoshka", "bebase-tot"])
def test_every_field_is_shown_with_its_value(hype: Hype, name: str) -> None:
    fields = hype("recipes", "show", name, "--json").json
    printed = lines(hype("recipes", "show", name).out)
    shown = [
        line[2:].split(" = ")[0] for line in printed if line[:2] in ("* ", "  ") and " = " in line
    ]
    wanted = [field["key"].rpartition(".")[2] for field in fields]
    assert [each for each in shown if each in wanted] == wanted
    assert all(field["meaning"] for field in fields)


def test_a_validation_is_a_section_where_there_is_one(hype: Hype) -> None:
    printed = hype("recipes", "show", "followir", "--set", "validation.rows=v.jsonl").out
    assert "\n[validation]" in printed
    assert '* rows = "v.jsonl"' in printed
    assert 'measures = ["nDCG@10", "RR@10", "R@100"]' in printed
    assert "validation = none" not in printed


def test_toml_starts_a_recipe_of_ones_own(hype: Hype) -> None:
    for name in ("matryoshka", "bebase-tot"):
        text = hype("recipes", "show", name, "--toml").out
        assert resolve_recipe(tomllib.loads(text)) == load_recipe(name)


def test_a_name_alone_shows_the_recipe(hype: Hype) -> None:
    assert hype("recipes", "tiny").out == hype("recipes", "show", "tiny").out
    steps = ["--set", "training.steps=7"]
    assert hype("recipes", "tiny", *steps).out == hype("recipes", "show", "tiny", *steps).out


@pytest.mark.parametrize("words", [["recipes", "show"], ["recipes"]])
def test_an_unknown_recipe_is_an_error_of_recipes(hype: Hype, words: list[str]) -> None:
    done = hype(*words, "hypencoder-5")
    assert done.code == 3
    assert "Did you mean 'hypencoder-" in done.err
