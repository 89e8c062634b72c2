"""The notebook is one that Jupyter opens, and its cells run in order on a fresh machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUNNER = Path(__file__).with_name("run_notebook.py")


@pytest.fixture(scope="module")
def place(repository: Path) -> Path:
    return repository / "docs/quickstart.ipynb"


@pytest.fixture(scope="module")
def notebook(place: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return content


def test_the_notebook_has_the_form_of_version_4_5(notebook: dict[str, Any]) -> None:
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    identifiers = [cell["id"] for cell in notebook["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in notebook["cells"]:
        common = {"cell_type", "id", "metadata", "source"}
        own = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == common | own
        assert cell["cell_type"] in ("code", "markdown")
        assert all(isinstance(line, str) for line in cell["source"])


def test_no_outputs_are_kept(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["execution_count"], cell["outputs"]) == (None, [])


@pytest.mark.encoder
def test_the_cells_run(place: Path, tmp_path: Path, repository: Path) -> None:
    paths = os.pathsep.join([str(repository), str(repository / "store")])
    done = subprocess.run(
        [sys.executable, str(RUNNER), str(place)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("<table>") >= 6
    assert "<td>hypencoder</td>" in done.stdout
    assert (tmp_path / "study/hype.toml").is_file()
