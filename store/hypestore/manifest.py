"""Manifests: what an artifact is, what it was made from, and how its id follows from that."""

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

from hypestore.errors import (
    DamagedArtifact,
    InvalidContent,
    StoreVersionError,
    refuse_open_limit,
)

FORMAT_VERSION = 1
"""The newest format version that this code reads and writes (``store/FORMAT.md``)."""

REQUIRES = "hypencli >= 0.1"
"""The program that reads ``FORMAT_VERSION``, as ``hype.toml`` names it."""

MANIFEST_NAME = "manifest.json"

ORDER = "order"
"""Key of the order of an artifact, in its ``provenance`` (``store/FORMAT.md``, section 3)."""

SEAL = "manifest_sha256"
"""Key of the seal of a manifest, in its ``provenance`` on disk (``store/FORMAT.md``, section 3)."""

SHORTENED = "shortened_inputs"
"""Key of the names of shortened inputs, in the ``provenance`` of a reference (section 15)."""

Kind = Literal["model", "embeddings", "graph", "calibration", "run", "evaluation"]
KINDS: tuple[Kind, ...] = get_args(Kind)

NAME_RULE = (
    "A name has 1 to 200 characters, for example bm25-top1000. It has no white space, no / and no "
    "\\, does not begin with . or -, and does not end as ids do, with - and ten digits of 0-9 a-f."
)
"""What a new name may be, for hints."""

_ORDER_LIMIT = 2**53
_HASH_DIGITS = 10
_ID_PREFIX_CHARACTERS = 60
_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}")
"""What a reader takes for a name: what versions before 0.6 wrote."""

_NEW_NAME = re.compile(r"(?![.-])[^\s\x00-\x1f\x7f/\\\ud800-\udfff]{1,200}")
_ID = re.compile(rf"[a-z0-9][a-z0-9._-]*-[0-9a-f]{{{_HASH_DIGITS}}}")


class FileRecord(BaseModel):
    """One file of an artifact: path relative to its folder, size in bytes, SHA-256."""

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
    """The content of ``work.json``: what is known of an artifact before it is finished."""

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
    def order(self) -> int:
        """The place of the artifact in the order in which those of its store appeared, from 1.

        It is 0 for artifacts of versions before 0.6, which are older than all others.
        """
        order = self.provenance.get(ORDER)
        return order if type(order) is int and 0 < order < _ORDER_LIMIT else 0

    @property
    def file_name(self) -> str:
        """The beginning of names of files about the artifact: its name, else its id.

        A name of an older or another store that leads to another folder is not used.
        """
        return self.name if self.name is not None and can_be_name(self.name) else self.id

    @property
    def size_bytes(self) -> int:
        """Size of all files together in bytes, without the manifest."""
        return sum(file.size_bytes for file in self.files)

    @field_validator("name")
    @classmethod
    def _in_one_word(cls, name: str | None) -> str | None:
        if name is not None and _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r:.200} cannot be the name of an artifact")
        return name

    @model_validator(mode="after")
    def _each_file_once(self) -> Self:
        if len({file.path for file in self.files}) != len(self.files):
            raise ValueError("a file is listed twice")
        return self

    def stat_int(self, key: str, *, at_least: int = 0) -> int:
        """The whole number ``stats[key]``.

        Raises:
            DamagedArtifact: It is absent, no whole number, or below ``at_least``.
        """
        return self._whole_number("stats", key, at_least)

    def input_int(self, key: str, *, at_least: int = 0) -> int:
        """The whole number ``inputs[key]``.

        Raises:
            DamagedArtifact: It is absent, no whole number, or below ``at_least``.
        """
        return self._whole_number("inputs", key, at_least)

    def _whole_number(self, part: Literal["inputs", "stats"], key: str, at_least: int) -> int:
        value = (self.inputs if part == "inputs" else self.stats).get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
            raise DamagedArtifact(
                f"The manifest of {self.id} has {part}.{key} = {value!r}, "
                f"expected a whole number from {at_least} on.",
                hint="hype doctor --checksums",
            )
        return value

    def to_text(self) -> str:
        """The manifest as it is written to disk, with a seal (a hash) over its content."""
        content = self.model_dump(mode="json")
        content["provenance"][SEAL] = seal_of(content)
        return pretty_json(content)


def pretty_json(value: Mapping[str, Any]) -> str:
    """Indented JSON text with a final line end; non-ASCII characters are not escaped."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain_json(value: Mapping[str, Any], *, what: str) -> dict[str, JsonValue]:
    """A deep copy of ``value`` in the types of JSON: tuples become lists, keys become strings.

    Raises:
        InvalidContent: A value has no JSON form, or is NaN or infinite.
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


def artifact_id(kind: Kind, id_prefix: str, inputs: Mapping[str, Any]) -> str:
    """The id of an artifact. Equal kinds and inputs give equal ids on every machine.

    Args:
        kind: Kind of the artifact.
        id_prefix: A few words for people; the hash alone tells artifacts apart.
        inputs: Everything that determines the content.

    Returns:
        ``prefix-hash``: the prefix in ``a-z 0-9 . _ -``, then ten hexadecimal digits.
    """
    return f"{clean_id_prefix(id_prefix) or kind}-{inputs_hash(kind, inputs)}"


def inputs_hash(kind: Kind, inputs: Mapping[str, Any]) -> str:
    """The ten hexadecimal digits that end an id."""
    content = {"kind": kind, "inputs": plain_json(inputs, what="inputs")}
    return _canonical_sha256(content)[:_HASH_DIGITS]


def seal_of(content: Mapping[str, Any]) -> str:
    """The seal of a manifest: SHA-256 of its canonical JSON form without the seal itself.

    Raises:
        ValueError: The manifest has NaN, infinity, or text without a UTF-8 form.
    """
    made_with = {key: value for key, value in content["provenance"].items() if key != SEAL}
    return _canonical_sha256({**content, "provenance": made_with})


def _canonical_sha256(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def clean_id_prefix(id_prefix: str) -> str:
    """An id prefix in lower case, in which ``-`` replaces all but ``a-z 0-9 . _``."""
    cleaned = re.sub(r"[^a-z0-9._]+", "-", id_prefix.lower())[:_ID_PREFIX_CHARACTERS]
    return cleaned.strip("-._")


def can_be_name(text: str) -> bool:
    """Whether a new artifact may have this name.

    A name is also the beginning of file names, and is never taken for an id or an option.
    """
    return _NEW_NAME.fullmatch(text) is not None and _ID.fullmatch(text) is None


def check_name(name: str | None) -> str | None:
    r"""Return ``name`` if a new artifact may have it, or None.

    Raises:
        InvalidContent: It is empty, longer than 200 characters, has white space, control
            characters, ``/`` or ``\``, begins with ``.`` or ``-``, or has the form of an id.
    """
    if name is not None and not can_be_name(name):
        raise InvalidContent(f"{name!r} cannot be the name of an artifact.", hint=NAME_RULE)
    return name


def check_version(version: object, *, where: Path, requires: str | None = None) -> None:
    """Refuse a format version that only a newer program reads.

    Raises:
        StoreVersionError: ``version`` is above ``FORMAT_VERSION``; the message has both.
        DamagedArtifact: ``version`` is not a whole number above 0.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DamagedArtifact(
            f"{where}: format_version is {version!r:.100}, expected a whole number."
        )
    if version > FORMAT_VERSION:
        needed = f" (it says: {requires!s:.100})" if requires else ""
        newer = f"version {version!s:.30}"
        raise StoreVersionError(
            f"{where} has format {newer}; a program that reads {newer} is needed{needed}, "
            f"and this one reads up to {FORMAT_VERSION}.",
            hint="Install a newer version, from where this one came.",
        )


def read_manifest(path: Path) -> Manifest:
    """Read a ``manifest.json``; check its seal, its fields, and that its id names its folder.

    Raises:
        FileNotFoundError: The file does not exist.
        StoreVersionError: The manifest has a newer format version.
        DamagedArtifact: The file is not JSON or not a manifest, or was changed after it was
            sealed.
    """
    content = _read_object(path)
    check_version(content.get("format_version"), where=path)
    _break_seal(content, path)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "it"
        problem = f"is not a manifest ({place:.100}: {first['msg']:.300})"
        raise _damaged(path, problem) from error
    if manifest.id != path.parent.name:
        raise _damaged(path, f"has the id {manifest.id!r:.100}, expected the name of its folder")
    return manifest


def has_seal(path: Path) -> bool:
    """Whether a manifest has a seal; hype before 0.4 wrote none.

    Raises:
        FileNotFoundError: The file does not exist.
        DamagedArtifact: The file cannot be read.
    """
    made_with = _read_object(path).get("provenance")
    return isinstance(made_with, dict) and SEAL in made_with


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = _parse(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        refuse_open_limit(error)
        raise _damaged(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise _damaged(path, "is not a JSON object")
    return content


def _break_seal(content: dict[str, Any], path: Path) -> None:
    """Compare the seal with the content, then take it out; hype before 0.4 wrote no seal."""
    made_with = content.get("provenance")
    if not isinstance(made_with, dict) or SEAL not in made_with:
        return
    try:
        is_whole = made_with[SEAL] == seal_of(content)
    except ValueError as error:
        raise _damaged(path, f"is not a manifest ({error})") from error
    if not is_whole:
        raise _damaged(path, f"was changed after it was written: {SEAL} is not that of its content")
    content["provenance"] = {key: value for key, value in made_with.items() if key != SEAL}


def _parse(raw: bytes) -> object:
    """Parse JSON strictly: NaN, infinity and broken text raise ``ValueError``."""
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


def _damaged(path: Path, problem: str) -> DamagedArtifact:
    return DamagedArtifact(
        f"{path} {problem}.", hint="Run `hype doctor` for the whole picture of this store."
    )
