"""Every verb explains itself, and the documents name no verb that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypencli.cli.app import command
from hypencli.cli.arguments import from_verb
from hypencli.recipe import describe, list_recipes, load_recipe


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every verb with its words, such as ``export run``."""
    children = getattr(node, "commands", None)
    if children is None:
        yield " ".join(path), node
        return
    for name, child in children.items():
        yield from leaves(child, (*path, name))


VERBS = dict(leaves(command()))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_examples_and_json(verb: str) -> None:
    node = VERBS[verb]
    assert node.help
    assert "Examples:" in node.help
    examples = [line.strip() for line in node.help.splitlines() if line.strip().startswith("hype ")]
    assert any(example.startswith(f"hype {verb}") for example in examples)
    options = {name for parameter in node.params for name in parameter.opts}
    assert "--json" in options
    undocumented = [
        parameter.name for parameter in node.params if not getattr(parameter, "help", None)
    ]
    assert not undocumented


def written_commands(text: str) -> list[str]:
    """Commands in a document: lines and code spans that begin with ``hype``."""
    spans = re.findall(r"`(hype [^`\n]+)`", text)
    lines = re.findall(r"^\s*(?:\$ )?(hype .+)$", text, re.MULTILINE)
    return [*spans, *lines]


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "store/FORMAT.md"]
)
def test_documents_name_only_verbs_that_exist(name: str, repository: Path) -> None:
    place = repository / name
    files = sorted(place.glob("*.md")) if place.is_dir() else [place]
    words = {word for verb in VERBS for word in [verb.split()[0]]} | {"--help", "--version"}
    for file in files:
        for written in written_commands(file.read_text(encoding="utf-8")):
            typed = written.split()[1:]
            first = (from_verb(typed) or typed)[0]
            assert first in words or first.isupper(), f"{file.name}: {written}"


def test_the_readme_names_every_verb(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    missing = {verb.split()[0] for verb in VERBS if f"hype {verb.split()[0]}" not in readme}
    assert not missing


@pytest.mark.parametrize("summary", list_recipes(), ids=lambda summary: summary.name)
def test_every_recipe_loads_and_says_what_it_is_for(summary: object) -> None:
    recipe = load_recipe(summary.name)  # type: ignore[attr-defined]
    assert recipe.description
    assert all(field.meaning for field in describe(recipe))
