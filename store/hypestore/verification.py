"""Comparing the files of an artifact with its manifest: existence, size, SHA-256, columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from hypestore.errors import ArtifactNotFound, DamagedArtifact, refuse_open_limit
from hypestore.files import sha256_file
from hypestore.manifest import MANIFEST_NAME, FileRecord, Manifest
from hypestore.tables import read_table

MISSING = "is missing"


def file_problem(path: Path, record: FileRecord, *, contents: bool) -> str | None:
    """What is wrong with a file, as the end of a sentence; None if nothing is.

    Args:
        path: The file.
        record: Its record in the manifest.
        contents: Whether to compare the SHA-256 of the content too, not the size alone.
    """
    try:
        if path.is_symlink():
            return "is a link; a store holds its files itself"
        if not path.is_file():
            return "is not a file" if path.exists() else MISSING
        size = path.stat().st_size
        if size != record.size_bytes:
            return f"is {size} bytes long, expected {record.size_bytes}"
        if contents and sha256_file(path) != record.sha256:
            return "has changed: its SHA-256 is not that of the manifest"
    except OSError as error:
        refuse_open_limit(error)
        return f"cannot be read: {error.strerror}"
    return None


def check_files(folder: Path, manifest: Manifest, *, contents: bool = False) -> None:
    """Compare the files of an artifact with its manifest, by size or by content.

    Raises:
        DamagedArtifact: A file is missing or differs from the manifest; the message names it.
        ArtifactNotFound: The artifact was removed meanwhile.
    """
    with _unless_removed(folder, manifest):
        for record in manifest.files:
            _check(folder / record.path, record, contents=contents)


def verified_path(folder: Path, manifest: Manifest, name: str) -> Path:
    """Path of one file of an artifact, after its content was compared with the manifest.

    Raises:
        DamagedArtifact: The file is missing, differs from the manifest, or is not in it.
    """
    record = next((record for record in manifest.files if record.path == name), None)
    if record is None:
        raise DamagedArtifact(
            f"The manifest of {manifest.kind} {manifest.id} has no file {name}.", hint="hype doctor"
        )
    with _unless_removed(folder, manifest):
        _check(folder / name, record, contents=True)
    return folder / name


def read_artifact_table(
    folder: Path,
    manifest: Manifest,
    name: str,
    schema: pa.Schema | None = None,
    *,
    optional: pa.Schema | None = None,
) -> pa.Table:
    """Read a table of an artifact, after its content was compared with the manifest.

    Args:
        folder: Folder of the artifact.
        manifest: Manifest of the artifact.
        name: Name of the file.
        schema: The columns that the file must have; other columns are dropped.
        optional: Columns that it may have besides those of the schema.

    Raises:
        DamagedArtifact: The file is missing, differs from the manifest, or has other columns.
    """
    with _unless_removed(folder, manifest):
        table = read_table(verified_path(folder, manifest, name))
    if schema is None:
        return table
    extra = [field for field in optional or () if field.name in table.column_names]
    return _with_columns(table, pa.schema([*schema, *extra]), folder / name)


@contextmanager
def _unless_removed(folder: Path, manifest: Manifest) -> Iterator[None]:
    """Raise ``ArtifactNotFound`` for damage that is due to a removal by another process."""
    try:
        yield
    except DamagedArtifact as error:
        if (folder / MANIFEST_NAME).exists():
            raise
        raise ArtifactNotFound(
            f"The {manifest.kind} {manifest.id} was removed while it was read.",
            hint="`hype ls` shows what there is.",
        ) from error


def _with_columns(table: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    columns = {field.name: field.type for field in table.schema}
    for field in schema:
        if columns.get(field.name) != field.type or table[field.name].null_count:
            existing = ", ".join(f"{name} {of_type}" for name, of_type in columns.items())
            raise DamagedArtifact(
                f"{path}: expected a column {field.name} of {field.type} without nulls, "
                f"found {existing or 'no columns'}.",
                hint="hype doctor --checksums",
            )
    return table.select(schema.names)


def _check(path: Path, record: FileRecord, *, contents: bool) -> None:
    problem = file_problem(path, record, contents=contents)
    if problem is not None:
        expected = f", expected {record.size_bytes} bytes" if problem == MISSING else ""
        hint = "hype doctor --checksums" if contents else "hype doctor"
        raise DamagedArtifact(f"{path} {problem}{expected}.", hint=hint)
