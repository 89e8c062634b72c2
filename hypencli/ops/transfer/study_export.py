"""Export of a study as one archive: complete runs and evaluations, others by manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hypencli._version import __version__
from hypencli.data.atomic import atomic_write, refuse_overwrite
from hypencli.data.exchange.study_archive import StudyArchiveWriter, write_study_archive
from hypencli.errors import UsageError
from hypencli.escaping import escape_markdown
from hypencli.ops.evaluation.leaderboard import LeaderboardTable, leaderboard
from hypencli.ops.model_card import CARD_FILE, CURVES_FILE, RECIPE_FILE
from hypencli.own_places import SEALS
from hypencli.paths import is_dir
from hypencli.private_paths import PathShortener
from hypencli.progress import SILENT, Progress
from hypestore import (
    FOLDERS,
    FORMAT_VERSION,
    SHORTENED,
    FileRecord,
    Kind,
    Manifest,
    Store,
    verified_path,
)

STUDY_FILE, REPORT_FILE, MANIFEST = "study.json", "report.md", "manifest.json"
REFERENCES = "references"

WHOLE: tuple[Kind, ...] = ("calibration", "run", "evaluation")
"""Kinds that are exported with all files, parents first."""

COMPANIONS = (RECIPE_FILE, CURVES_FILE, CARD_FILE)
"""Small files of a model that are exported with its manifest."""


@dataclass(frozen=True, slots=True)
class ExportedStudy:
    """An exported study.

    Attributes:
        path: The archive.
        runs: Number of runs, with all files.
        evaluations: Number of evaluations, with all files.
        references: Number of models, embedding sets and others, by their manifests.
        size_bytes: Size of the archive in bytes.
        shortened: Number of absolute paths that were shortened.
        kept: Ids of artifacts whose inputs have absolute paths. Their ids depend on these, so that
            they stay.
    """

    path: Path
    runs: int
    evaluations: int
    references: int
    size_bytes: int
    shortened: int
    kept: tuple[str, ...]


def export_study(
    store: Store,
    output: Path,
    *,
    runs: tuple[str, ...] = (),
    overwrite: bool = False,
    keep_paths: bool = False,
    progress: Progress = SILENT,
) -> ExportedStudy:
    """Write runs, their evaluations and their lineage to one file for an import elsewhere.

    Args:
        store: The project store.
        output: The file, or a folder for a file named after the store.
        runs: Runs by id, unique prefix, or name. Empty selects all.
        overwrite: Replace an existing file.
        keep_paths: Keep absolute paths, which name users and folders. Otherwise each is shortened
            to its last part.
        progress: Where to report.

    Raises:
        UsageError: There are no runs, or the file exists.
        DataError: The file cannot be written.
        DamagedArtifact: A file of the store differs from its recorded hash.
    """
    path = output / f"{store.root.name}.study.zip" if is_dir(output) else output
    refuse_overwrite(path, overwrite=overwrite)
    manifests = [store.get(run, "run") for run in runs] if runs else store.artifacts("run")
    if not manifests:
        raise UsageError(
            f"The store {store.root} has no runs to export.", hint="hype search, or hype import run"
        )
    whole, references = _lineage(store, manifests)
    shortener = PathShortener(keep=keep_paths)
    with (
        atomic_write(path) as temporary,
        write_study_archive(temporary) as archive,
        progress.task("export", total=len(whole), unit="artifacts") as task,
    ):
        archive.write_text(STUDY_FILE, _contents(whole, references))
        archive.write_text(REPORT_FILE, _report(store, manifests))
        for manifest in references:
            folder, listed = store.path(manifest), {record.path for record in manifest.files}
            files = [name for name in COMPANIONS if name in listed and (folder / name).is_file()]
            _write_reference(archive, store, manifest, files, shortener)
        for manifest in whole:
            _write(archive, store, manifest, shortener)
            task.advance()
    return ExportedStudy(
        path=path,
        runs=len(manifests),
        evaluations=sum(manifest.kind == "evaluation" for manifest in whole),
        references=len(references),
        size_bytes=path.stat().st_size,
        shortened=len(shortener.shortened),
        kept=tuple(one.id for one in whole if not keep_paths and _has_path(one.inputs)),
    )


def _has_path(value: object) -> bool:
    shortener = PathShortener()
    shortener.value(value)
    return bool(shortener.shortened)


def _lineage(store: Store, runs: list[Manifest]) -> tuple[list[Manifest], list[Manifest]]:
    """Artifacts to export with all files, and by manifest; parents first in both lists."""
    manifests = {manifest.id: manifest for manifest in runs}
    for run in runs:
        manifests |= {manifest.id: manifest for manifest in store.evaluations(run.id)}
    whole = set(manifests)
    queue = list(manifests)
    while queue:
        for parent in store.parents_of(queue.pop()):
            if parent.id not in manifests:
                manifests[parent.id] = parent
                queue.append(parent.id)
                if parent.kind == "calibration" and store.has(parent.id):
                    whole.add(parent.id)
    ordered = _parents_first(manifests)
    return [one for one in ordered if one.id in whole], [
        one for one in ordered if one.id not in whole
    ]


def _parents_first(manifests: dict[str, Manifest]) -> list[Manifest]:
    ordered: dict[str, Manifest] = {}

    def visit(manifest: Manifest) -> None:
        if manifest.id not in ordered:
            for parent in manifest.parents:
                visit(manifests[parent])
            ordered[manifest.id] = manifest

    for artifact_id in sorted(manifests):
        visit(manifests[artifact_id])
    return list(ordered.values())


def _write(
    archive: StudyArchiveWriter, store: Store, manifest: Manifest, shortener: PathShortener
) -> None:
    """Write a whole artifact, after a check of the hashes of its files."""
    folder, home = store.path(manifest), f"{FOLDERS[manifest.kind]}/{manifest.id}"
    short = _shortened(manifest, shortener)
    _write_manifest(archive, f"{home}/{MANIFEST}", folder, manifest, short)
    for record in manifest.files:
        archive.write_file(f"{home}/{record.path}", verified_path(folder, manifest, record.path))


def _write_reference(
    archive: StudyArchiveWriter,
    store: Store,
    manifest: Manifest,
    files: Iterable[str],
    shortener: PathShortener,
) -> None:
    """Write the manifest of an artifact, and some of its files, after a check of their hashes.

    Shortened inputs and files no longer fit the id and the hashes. So the manifest names these
    inputs, and gets new records of these files.
    """
    folder = store.path(manifest)
    home = f"{REFERENCES}/{FOLDERS[manifest.kind]}/{manifest.id}"
    texts, records = {}, {record.path: record for record in manifest.files}
    for name in files:
        path = verified_path(folder, manifest, name)
        shorten = {RECIPE_FILE: shortener.toml, CARD_FILE: shortener.text}.get(name)
        text = None if shorten is None else path.read_text(encoding="utf-8")
        if shorten is None or text is None or (short := shorten(text)) == text:
            archive.write_file(f"{home}/{name}", path)
        else:
            texts[name] = short
    for name, text in texts.items():
        archive.write_text(f"{home}/{name}", text)
        content = text.encode("utf-8")
        digest = hashlib.sha256(content).hexdigest()
        records[name] = FileRecord(path=name, size_bytes=len(content), sha256=digest)
    short_manifest = _shortened(manifest, shortener)
    inputs = shortener.value(manifest.inputs)
    changed = sorted(key for key in inputs if inputs[key] != manifest.inputs[key])
    if changed:
        made_with = {**short_manifest.provenance, SHORTENED: changed}
        short_manifest = short_manifest.model_copy(
            update={"inputs": inputs, "provenance": made_with}
        )
    short_manifest = short_manifest.model_copy(update={"files": tuple(records.values())})
    _write_manifest(archive, f"{home}/{MANIFEST}", folder, manifest, short_manifest)


def _write_manifest(
    archive: StudyArchiveWriter, name: str, folder: Path, manifest: Manifest, short: Manifest
) -> None:
    """Write a manifest: as it is on disk, unless it was shortened."""
    if short == manifest:
        archive.write_file(name, folder / MANIFEST)
    else:
        archive.write_text(name, short.to_text())


def _shortened(manifest: Manifest, shortener: PathShortener) -> Manifest:
    """The manifest with shortened paths in all but its inputs, and without seals of places."""
    if shortener.keep:
        return manifest
    made_with = {key: each for key, each in manifest.provenance.items() if key != SEALS}
    return manifest.model_copy(
        update={
            "stats": shortener.value(manifest.stats),
            "provenance": shortener.value(made_with),
        }
    )


def _contents(whole: list[Manifest], references: list[Manifest]) -> str:
    contents = {
        "kind": "study",
        "format_version": FORMAT_VERSION,
        "hype": __version__,
        "artifacts": [manifest.id for manifest in whole],
        "references": [manifest.id for manifest in references],
    }
    return json.dumps(contents, indent=2) + "\n"


def _report(store: Store, runs: list[Manifest]) -> str:
    """Render the leaderboards of the runs in Markdown."""
    names = {manifest.name or manifest.id for manifest in runs}
    lines = [
        f"# {escape_markdown(store.root.name)}",
        "",
        f"{len(runs)} runs, written by hype {__version__}.",
        "",
    ]
    for board in leaderboard(store):
        rows = [row for row in board.rows if row[0] in names]
        if rows:
            lines += [f"## {escape_markdown(board.title)}", "", *_markdown(board, rows), ""]
    return "\n".join(lines)


def _markdown(board: LeaderboardTable, rows: list[tuple[object, ...]]) -> list[str]:
    def line(cells: Iterable[object]) -> str:
        return f"| {' | '.join(map(_cell, cells))} |"

    return [line(board.columns), line(["---"] * len(board.columns)), *map(line, rows)]


def _cell(value: object) -> str:
    if value is None:
        return "–"
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return escape_markdown(text)
