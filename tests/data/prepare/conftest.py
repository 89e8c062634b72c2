"""Small releases to change at will, and places to prepare them in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.prepare import Job
from hypencli.data.prepare.malformed_records import MalformedRecords
from hypencli.progress import SILENT

Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    """A job that writes to ``out``, anew each time."""

    def make(given: Path | None, *, lenient: bool = False, **settings: Any) -> Job:
        folders = {name: tmp_path / "work" / name for name in ("out", "downloads", "unpacked")}
        shutil.rmtree(folders["out"], ignore_errors=True)
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        with SILENT.task("prepare") as task:
            return Job(
                source_folder=given,
                malformed=MalformedRecords(lenient=lenient),
                task=task,
                **folders,
                **settings,
            )

    return make


@pytest.fixture
def released(hard_tasks: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a small release."""
    return lambda name: Path(shutil.copytree(hard_tasks / name, tmp_path / "released" / name))


@pytest.fixture
def edit() -> Callable[[Path, int, Edit], None]:
    """Change one line of a JSONL file; what the change returns, if anything, takes its place."""

    def run(path: Path, line: int, change: Edit) -> None:
        lines = path.read_text(encoding="utf-8").splitlines()
        values = json.loads(lines[line - 1])
        changed = change(values)
        lines[line - 1] = json.dumps(values if changed is None else changed)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return run


@pytest.fixture
def jsonl() -> Callable[[Path], list[Any]]:
    """Read a JSONL file."""
    return lambda path: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def local_github(
    tmp_path: Path, serve_hub: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> dict[str, bytes]:
    """Files of repositories by address, served on this machine in place of GitHub's."""
    from huggingface_hub import constants

    files: dict[str, bytes] = {}

    def answer(address: str) -> tuple[dict[str, str], bytes] | None:
        body = files.get(address.lstrip("/"))
        return None if body is None else ({}, body)

    serve_hub(answer, cache=tmp_path / "cache", absent={})
    monkeypatch.setattr("hypencli.data.prepare.download.RAW_FILES", constants.ENDPOINT)
    return files
