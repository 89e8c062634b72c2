"""The goldens of the published code's tiny checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def folder(goldens: Path) -> Path:
    return goldens / "a_shared_cls"


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, Any]:
    actual: dict[str, Any] = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    return actual
