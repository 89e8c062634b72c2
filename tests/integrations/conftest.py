"""Tests of the adapters; `make test-integrations` installs the frameworks that they need."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import hypencli
from hypencli.api import Project

_FRAMEWORKS = {
    "test_haystack.py": "haystack",
    "test_langchain.py": "langchain_tests",
    "test_llama_index.py": "llama_index",
    "test_mteb.py": "mteb",
    "test_pyterrier.py": "pyterrier",
    "test_ranx.py": "ranx",
    "test_sentence_transformers.py": "sentence_transformers",
}
collect_ignore = [
    file for file, package in _FRAMEWORKS.items() if importlib.util.find_spec(package) is None
]
"""Tests of frameworks that this environment lacks. `make test-integrations` has them all."""


@pytest.fixture(scope="session")
def project(finished_study: Path) -> Project:
    """A store with a Hypencoder, a bi-encoder, and the vectors and a run of each."""
    return hypencli.open_store(finished_study)
