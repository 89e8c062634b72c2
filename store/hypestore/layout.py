"""Paths in a store, and the marker file ``hype.toml`` at its root."""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hypestore.errors import DamagedArtifact, InvalidContent, StoreError, StoreNotFound
from hypestore.files import atomic_write_text
from hypestore.manifest import FORMAT_VERSION, KINDS, MANIFEST_NAME, REQUIRES, Kind, check_version

MARKER_NAME = "hype.toml"
WORK_NAME = "work.json"
SCRATCH_NAME = "unfinished"
"""Folder in unfinished work for checkpoints and the like; it is never part of the artifact."""
PROGRESS_NAME = "progress.jsonl"
DEFAULT_KEYS = ("model", "corpus", "queries", "device")
SEAL_KEYS = ("queries_seal",)
"""Keys beside the defaults, which say who set them (``FORMAT.md``, section 2)."""

FOLDERS: MappingProxyType[Kind, str] = MappingProxyType(
    {
        "model": "models",
        "embeddings": "embeddings",
        "graph": "graphs",
        "calibration": "calibrations",
        "run": "runs",
        "evaluation": "evaluations",
    }
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of a store, computed from names; no file is touched."""

    root: Path

    @property
    def marker(self) -> Path:
        """The file that makes the folder a store."""
        return self.root / MARKER_NAME

    @property
    def catalog(self) -> Path:
        """The derived DuckDB database."""
        return self.root / "catalog.duckdb"

    @property
    def locks(self) -> Path:
        """The folder of lock files."""
        return self.root / "locks"

    @property
    def store_lock(self) -> Path:
        """The lock held while a manifest appears or disappears, or ``hype.toml`` changes."""
        return self.lock("store")

    def lock(self, name: str) -> Path:
        """The lock file of an artifact, or of one part of the work on it."""
        return self.locks / f"{name}.lock"

    def staging_lock(self, folder: Path) -> Path:
        """The lock of a staging folder, held by the process that fills it."""
        return self.lock(folder.name.strip("."))

    def staging_locks(self) -> list[tuple[Path, Path]]:
        """Every lock of a staging folder with that folder, those of killed processes too."""
        locks = sorted(self.locks.glob("staging.*.tmp.lock"))
        return [(lock, self.root / f".{lock.name.removesuffix('.lock')}") for lock in locks]

    @property
    def caches(self) -> Path:
        """The folder of derived data that may be deleted."""
        return self.root / "cache"

    def cache(self, name: str) -> Path:
        """The folder of one cache."""
        return self.caches / name

    def cache_lock(self, name: str, part: str = "make") -> Path:
        """A lock of a cache: ``make`` while it is made or removed, another part for each user."""
        return self.locks / "cache" / name / f"{part}.lock"

    @property
    def references(self) -> Layout:
        """Paths of references: manifests of artifacts that are in another store."""
        return Layout(self.root / "references")

    def kind_folder(self, kind: Kind) -> Path:
        """The folder that holds all artifacts of a kind."""
        return self.root / FOLDERS[kind]

    def artifact(self, kind: Kind, artifact_id: str) -> Path:
        """The folder of one artifact."""
        return self.kind_folder(kind) / artifact_id

    def manifest(self, kind: Kind, artifact_id: str) -> Path:
        """The manifest of one artifact."""
        return self.artifact(kind, artifact_id) / MANIFEST_NAME

    def kind_folders(self) -> list[tuple[Kind, Path]]:
        """Each kind with its folder."""
        return [(kind, self.kind_folder(kind)) for kind in KINDS]


_NEEDED = f"Write it anew: all it needs is the line `format_version = {FORMAT_VERSION}`."
"""What to do about a damaged marker file; nothing else in a store depends on it."""


@dataclass(frozen=True, slots=True)
class Marker:
    """What ``hype.toml`` says."""

    format_version: int
    defaults: MappingProxyType[str, str]


def store_folder(path: Path | str) -> Path:
    """The absolute path of a store that the user named; ``~`` is the home folder.

    Raises:
        StoreNotFound: The path begins in the current folder, which was deleted.
    """
    try:
        # Path.expanduser raises a RuntimeError where no user has the name.
        return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111
    except FileNotFoundError as error:
        raise StoreNotFound(
            "The current folder was deleted.", hint="Go to one that exists: cd FOLDER"
        ) from error


def checked_folder(folder: Path) -> Path:
    """Return the folder of a store if files below it can be opened by all libraries.

    Raises:
        StoreError: The path is not UTF-8, which DuckDB and safetensors need.
    """
    try:
        str(folder).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = os.fsencode(folder).decode("utf-8", "backslashreplace")
        raise StoreError(
            f"The path of the store is not valid UTF-8: {shown}.",
            hint="Give the folder a name that is UTF-8.",
        ) from error
    return folder


def find_store(start: Path | None = None, explicit: Path | None = None) -> Path:
    """The root of the store to use.

    Args:
        start: The folder to search, then its parents; the current folder by default.
        explicit: The store that the user named; then no other folder is searched.

    Raises:
        StoreNotFound: There is no ``hype.toml``; the message lists every folder searched.
        StoreError: The path of the store is not UTF-8.
    """
    if explicit is not None:
        places = [store_folder(explicit)]
    else:
        begin = store_folder("." if start is None else start)
        places = [begin, *begin.parents]
    for place in places:
        if os.path.isfile(place / MARKER_NAME):  # noqa: PTH113 - also of names that are too long
            return checked_folder(place)
    looked = "\n".join(f"  {place / MARKER_NAME}" for place in places)
    raise StoreNotFound(
        f"No store found. Looked for:\n{looked}",
        hint="Make one with `hype init`, or name one with --store DIR or HYPE_STORE.",
    )


def new_marker_text() -> str:
    """The content of ``hype.toml`` in a new store."""
    return (
        "# A store of hype. The defaults below are used where a command does not say otherwise.\n"
        f"format_version = {FORMAT_VERSION}\n"
        f'requires = "{REQUIRES}"\n'
        "\n"
        "[defaults]\n"
    )


def read_marker(path: Path) -> Marker:
    """Read ``hype.toml``.

    Raises:
        StoreVersionError: The store has a newer format version.
        DamagedArtifact: The file is not TOML, or a default is not a string.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DamagedArtifact(f"{path} is not UTF-8 text: {error}.", hint=_NEEDED) from error
    return _parse_marker(text, path)


def _parse_marker(text: str, path: Path) -> Marker:
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of numbers without end, and of nesting
        raise DamagedArtifact(f"{path} is not TOML: {error}.", hint=_NEEDED) from error
    version = content.get("format_version")
    if version is None:
        raise DamagedArtifact(f"{path} has no format_version.", hint=_NEEDED)
    check_version(version, where=path, requires=content.get("requires"))
    defaults = content.get("defaults", {})
    if not isinstance(defaults, dict) or not all(isinstance(v, str) for v in defaults.values()):
        raise DamagedArtifact(f"{path}: [defaults] holds something else than strings: {defaults}.")
    return Marker(format_version=content["format_version"], defaults=MappingProxyType(defaults))


def write_default(path: Path, key: str, value: str) -> None:
    """Set one line of ``[defaults]`` in ``hype.toml``, leaving every other line as it is.

    Raises:
        InvalidContent: ``key`` is not one of the defaults.
    """
    if key not in (*DEFAULT_KEYS, *SEAL_KEYS):
        raise InvalidContent(
            f"{key!r} is not a default.", hint=f"Known: {', '.join(DEFAULT_KEYS)}."
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    _replace_line(lines, key, f"{key} = {_toml_string(value)}")
    text = "\n".join(lines) + "\n"
    if _parse_marker(text, path).defaults.get(key) != value:
        raise DamagedArtifact(
            f"Cannot set {key!r} in {path}: its [defaults] are not written one key a line.",
            hint="Edit the file by hand.",
        )
    atomic_write_text(path, text)


def _replace_line(lines: list[str], key: str, line: str) -> None:
    """Replace the line of ``key`` in ``[defaults]``, or add ``line`` at the head of that table."""
    header = re.compile(r"\s*\[\s*defaults\s*\]\s*(#.*)?")
    start = next((i for i, text in enumerate(lines) if header.fullmatch(text)), None)
    if start is None:
        lines += ["", "[defaults]", line]
        return
    for i in range(start + 1, len(lines)):
        if lines[i].lstrip().startswith("["):
            break
        if re.match(rf"\s*{key}\s*=", lines[i]):
            lines[i] = line
            return
    lines.insert(start + 1, line)


def _toml_string(value: str) -> str:
    # JSON's escapes are TOML's, except that TOML also wants DEL escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
