"""The table of engines in docs/approximate-search.md says what the registry says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.engine.registry.lookup import SHIPPED, engine_entry

PAGE = Path(__file__).parents[2] / "docs" / "approximate-search.md"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_row_is_what_the_registry_says(name: str) -> None:
    entry = engine_entry(name)
    queries = "q-nets, vectors" if entry.queries == "any" else entry.queries
    options = ", ".join(f"`{option.name}`" for option in entry.describe())
    needs = ", ".join(entry.needs) or "–"
    row = f"| `{name}` | {entry.summary} | {queries} | {needs} | {options} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines()
