"""The record of a cache: its files when it was made, so that damage is noticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hypestore.errors import refuse_open_limit
from hypestore.files import present_files, sha256_file

RECORD_NAME = ".files.json"


class _CachedFile(BaseModel):
    """One file of a cache when the cache was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size_bytes: int = Field(ge=0)
    modified_ns: int
    sha256: str


class _Record(BaseModel):
    """All files of a cache."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[_CachedFile, ...]


@dataclass(frozen=True, slots=True)
class CacheProblem:
    """One problem of a cache.

    Attributes:
        file: Path of a file, relative to the cache.
        problem: What is wrong with it, as the end of a sentence.
    """

    file: str
    problem: str


def write_record(folder: Path) -> None:
    """Write the record of all files in a folder that becomes a cache."""
    files = [
        {
            "path": path.relative_to(folder).as_posix(),
            "size_bytes": path.stat().st_size,
            "modified_ns": path.stat().st_mtime_ns,
            "sha256": sha256_file(path),
        }
        for path in present_files(folder)
    ]
    (folder / RECORD_NAME).write_text(json.dumps({"files": files}) + "\n", encoding="utf-8")


def cache_problems(folder: Path, *, contents: bool = False) -> Iterator[CacheProblem]:
    """The problems of a cache by its record.

    The content of a file is compared only if its time of change differs from the record, or with
    ``contents``: caches are large, and are opened often.
    """
    try:
        record = _Record.model_validate_json((folder / RECORD_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        refuse_open_limit(error)
        yield CacheProblem(RECORD_NAME, "is missing, as before hype 0.4, or cannot be read")
        return
    listed = {file.path for file in record.files}
    for path in present_files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in listed and name != RECORD_NAME:
            yield CacheProblem(name, "was not there when the cache was made")
    for file in record.files:
        problem = _problem(folder / file.path, file, contents=contents)
        if problem is not None:
            yield CacheProblem(file.path, problem)


def _problem(path: Path, file: _CachedFile, *, contents: bool) -> str | None:
    try:
        stat = path.stat()
        if stat.st_size != file.size_bytes:
            return f"is {stat.st_size} bytes long, expected {file.size_bytes}"
        changed = stat.st_mtime_ns != file.modified_ns
        if (contents or changed) and sha256_file(path) != file.sha256:
            return "has changed: its SHA-256 is not that of when the cache was made"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        refuse_open_limit(error)
        return f"cannot be read: {error.strerror}"
    return None
