"""Manifests: what an artifact is, what it was made from, and the id that follows from it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from hypestore.errors import DamagedArtifact, InvalidContent, StoreVersionError

FORMAT_VERSION = 1
"""The newest format version that this code reads and writes (``store/FORMAT.md``)."""

REQUIRES = "hypencli >= 0.1"
"""Which program reads ``FORMAT_VERSION``, written into ``hype.toml``."""

MANIFEST_NAME = "manifest.json"

Kind = Literal["model", "embeddings", "graph", "calibration", "run", "evaluation"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_HASH_DIGITS = 10
_SLUG_CHARACTERS = 60
_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}")


class FileRecord(BaseModel):
    """One file of an artifact: path relative to its folder, size and hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _stay_inside(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path:
            raise ValueError(f"{path!r} does not lie inside the artifact's folder")
        return path


class WorkRecord(BaseModel):
    """What is known of an artifact before it is finished."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = Field(default=FORMAT_VERSION, ge=1)
    kind: Kind
    id: str
    name: str | None = None
    inputs: dict[str, JsonValue]
    parents: tuple[str, ...] = ()
    layout: dict[str, JsonValue] = Field(default_factory=dict)
    started: AwareDatetime


class Manifest(BaseModel):
    """The record of a finished artifact; ``store/FORMAT.md``, section 3, specifies its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = Field(ge=1)
    kind: Kind
    id: str
    name: str | None
    created: AwareDatetime
    inputs: dict[str, JsonValue]
    parents: tuple[str, ...]
    files: tuple[FileRecord, ...]
    stats: dict[str, JsonValue]
    provenance: dict[str, JsonValue]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together, the manifest not counted."""
        return sum(file.size_bytes for file in self.files)

    @model_validator(mode="after")
    def _each_file_once(self) -> Self:
        if len({file.path for file in self.files}) != len(self.files):
            raise ValueError("a file is listed twice")
        return self

    def to_text(self) -> str:
        """The manifest as it is written to disk."""
        return pretty_json(self.model_dump(mode="json"))


def pretty_json(value: Mapping[str, Any]) -> str:
    """JSON for people: indented, non-ASCII characters as themselves, a line end at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain_json(value: Mapping[str, Any], *, what: str) -> dict[str, JsonValue]:
    """A deep copy of ``value`` as JSON gives it back: tuples are lists, keys are strings.

    Raises:
        InvalidContent: Something in it has no JSON form, or is NaN or infinite.
    """
    try:
        text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
        copy: dict[str, JsonValue] = json.loads(text.encode("utf-8"))
    except (TypeError, ValueError) as error:
        raise InvalidContent(
            f"The {what} cannot be written as JSON: {error}.",
            hint="Use strings, finite numbers, booleans, None, lists and dicts only.",
        ) from error
    return copy


def artifact_id(kind: Kind, slug: str, inputs: Mapping[str, Any]) -> str:
    """The id of an artifact: the same for the same kind and inputs, on every machine.

    Args:
        kind: What it is.
        slug: A few words for people; it does not tell artifacts apart.
        inputs: Everything that determines the content.

    Returns:
        ``slug-hash``, the slug in ``a-z 0-9 . _ -`` and the hash of ten hexadecimal digits.
    """
    return f"{clean_slug(slug) or kind}-{inputs_hash(kind, inputs)}"


def inputs_hash(kind: Kind, inputs: Mapping[str, Any]) -> str:
    """The ten hexadecimal digits that end an id."""
    content = {"kind": kind, "inputs": plain_json(inputs, what="inputs")}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:_HASH_DIGITS]


def clean_slug(slug: str) -> str:
    """``slug`` in lower case, every run of other characters than ``a-z 0-9 . _`` made one ``-``."""
    cleaned = re.sub(r"[^a-z0-9._]+", "-", slug.lower())[:_SLUG_CHARACTERS]
    return cleaned.strip("-._")


def check_name(name: str | None) -> str | None:
    """``name`` if a user may call an artifact so.

    Raises:
        InvalidContent: White space, control characters, empty, or longer than 200.
    """
    if name is not None and _NAME.fullmatch(name) is None:
        raise InvalidContent(
            f"{name!r} cannot be the name of an artifact.",
            hint="A name has 1 to 200 characters and no white space, for example bm25-top1000.",
        )
    return name


def check_version(version: object, *, where: Path, requires: str | None = None) -> None:
    """Refuse what a newer program wrote.

    Raises:
        StoreVersionError: ``version`` is above ``FORMAT_VERSION``; names both.
        DamagedArtifact: ``version`` is no version.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DamagedArtifact(f"{where}: format_version is {version!r}, expected a whole number.")
    if version > FORMAT_VERSION:
        needed = f" (it says: {requires})" if requires else ""
        raise StoreVersionError(
            f"{where} has format version {version}; a program that reads version {version} is "
            f"needed{needed}, and this one reads up to {FORMAT_VERSION}.",
            hint="pip install --upgrade hypencli",
        )


def read_manifest(path: Path) -> Manifest:
    """Read a ``manifest.json`` and check that it belongs where it lies.

    Raises:
        FileNotFoundError: There is none.
        StoreVersionError: It has a newer format version.
        DamagedArtifact: It is not JSON, or not a manifest.
    """
    try:
        content = _parse(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise _damaged(path, "is not a JSON object")
    check_version(content.get("format_version"), where=path)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "it"
        raise _damaged(path, f"is not a manifest ({place}: {first['msg']})") from error
    if manifest.id != path.parent.name:
        raise _damaged(path, f"has the id {manifest.id!r}, expected the name of its folder")
    return manifest


def _parse(raw: bytes) -> object:
    """A manifest's content: what is no text, or no number of JSON, is a ``ValueError``."""
    text = raw.decode("utf-8")  # the parser itself lets halves of surrogate pairs pass
    content: object = json.loads(text, parse_float=_finite, parse_constant=_finite)
    if "\\u" in text:
        json.dumps(content, ensure_ascii=False).encode("utf-8")
    return content


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.40} is no number of JSON")
    return value


def whole_number(manifest: Manifest, part: Literal["inputs", "stats"], key: str) -> int:
    """A whole number that a manifest must hold.

    Raises:
        DamagedArtifact: It is not there, or something else.
    """
    value = (manifest.inputs if part == "inputs" else manifest.stats).get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DamagedArtifact(f"The manifest of {manifest.id} has {part}.{key} = {value!r}.")
    return value


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Compare the files of an artifact with its manifest, by size.

    Raises:
        DamagedArtifact: One is missing, or of another size.
    """
    for record in manifest.files:
        path = folder / record.path
        size = path.stat().st_size if path.is_file() else None
        if size != record.size_bytes:
            state = "missing" if size is None else f"{size} bytes long"
            raise DamagedArtifact(
                f"{path} is {state}, expected {record.size_bytes} bytes.", hint="hype doctor"
            )


def _damaged(path: Path, problem: str) -> DamagedArtifact:
    return DamagedArtifact(
        f"{path} {problem}.", hint="Run `hype doctor` for the whole picture of this store."
    )
