"""Export of a study as one archive: complete runs and evaluations, others by manifest."""

from __future__ import annotations

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
from hypencli.paths import is_dir
from hypencli.progress import SILENT, Progress
from hypestore import FOLDERS, FORMAT_VERSION, Kind, Manifest, Store, verified_path

STUDY_FILE, REPORT_FILE = "study.json", "report.md"
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
    """

    path: Path
    runs: int
    evaluations: int
    references: int
    size_bytes: int


def export_study(
    store: Store,
    output: Path,
    *,
    runs: tuple[str, ...] = (),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> ExportedStudy:
    """Write runs, their evaluations and their lineage to one file for an import elsewhere.

    Args:
        store: The project store.
        output: The file, or a folder for a file named after the store.
        runs: Runs by id, unique prefix, or name. Empty selects all.
        overwrite: Replace an existing file.
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
            _write(archive, store, manifest, files, place=f"{REFERENCES}/")
        for manifest in whole:
            _write(archive, store, manifest, [record.path for record in manifest.files], place="")
            task.advance()
    return ExportedStudy(
        path=path,
        runs=len(manifests),
        evaluations=sum(manifest.kind == "evaluation" for manifest in whole),
        references=len(references),
        size_bytes=path.stat().st_size,
    )


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
    archive: StudyArchiveWriter,
    store: Store,
    manifest: Manifest,
    files: Iterable[str],
    *,
    place: str,
) -> None:
    """Write the manifest of an artifact and some of its files, after a check of their hashes."""
    folder = store.path(manifest)
    home = f"{place}{FOLDERS[manifest.kind]}/{manifest.id}"
    archive.write_file(f"{home}/manifest.json", folder / "manifest.json")
    for name in files:
        archive.write_file(f"{home}/{name}", verified_path(folder, manifest, name))


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
