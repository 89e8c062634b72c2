"""A dataset of ir_datasets by its id alone: corpus, queries and judgements are its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def home(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A writable copy of the collections that lie beside the project."""
    copy = tmp_path_factory.mktemp("irds") / "home"
    shutil.copytree(shared / "data" / "ir_datasets_home", copy)
    for path in copy.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copy


def hype(home: Path, store: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "hypencli", *arguments, "--store", str(store), "--json"],
        env={**os.environ, "IR_DATASETS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_encode_then_search_with_nothing_more_to_say(home: Path, study: Path) -> None:
    encoded = hype(
        home,
        study,
        "encode",
        "vaswani",
        "--model",
        "hyper",
        "--limit",
        "2000",
        "--max-length",
        "32",
    )
    assert (encoded["corpus"], encoded["n_documents"]) == ("irds:vaswani", 2_000)
    outcome = hype(home, study, "search", "--model", "hyper", "--corpus", "vaswani", "--k", "100")
    assert (outcome["queries"], outcome["n_queries"]) == ("irds:vaswani", 93)
    assert outcome["evaluation"]["judged_queries"] == 93
    assert set(outcome["evaluation"]["aggregates"]) >= {"nDCG@10", "RR", "R@10"}
    again = hype(home, study, "search", "vaswani", "--model", "hyper", "--k", "100")
    assert again["existing"]
