"""The examples in the docstrings of the central classes run, and show what they say."""

from __future__ import annotations

import doctest
import importlib
import tempfile
from pathlib import Path

import pytest

MODULES = {
    "hypestore.store": "Store",
    "hypestore.work.work": "Draft",
    "hypestore.embeddings.stored": "EmbeddingSet",
    "hypestore.graphs.draft": "GraphDraft",
}
"""Module -> the class whose docstring has an example."""


@pytest.mark.parametrize("name", MODULES)
def test_the_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    module = importlib.import_module(name)
    examples = doctest.DocTestFinder().find(module)
    assert any(one.name.endswith(MODULES[name]) and one.examples for one in examples)
    assert doctest.testmod(module).failed == 0
