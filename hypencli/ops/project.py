"""Listing and showing the artifacts of a store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from hypencli.ops.content_names import JudgementNames, judgements_key
from hypencli.ops.model_card import CURVES_FILE
from hypencli.ops.phase import Phase, read_phase
from hypencli.records import UNNAMED_CORPUS
from hypestore import (
    PROGRESS_NAME,
    ArtifactNotFound,
    JsonValue,
    Kind,
    Manifest,
    Point,
    Store,
    Unfinished,
    read_artifact_table,
    read_progress,
)

if TYPE_CHECKING:
    from hypencli.engine.vector_index.spec import DescribedIndex


@dataclass(frozen=True, slots=True)
class Listed:
    """One artifact of a listing, finished or not.

    Attributes:
        kind: Kind of the artifact.
        id: Its id.
        name: Its name, if it has one.
        created: ISO time of the end; of the start if it is unfinished.
        about: One line of description.
        size_bytes: Size of its files in bytes.
        unfinished: Whether it is not finished.
    """

    kind: str
    id: str
    name: str | None
    created: str
    about: str
    size_bytes: int
    unfinished: bool = False


Curves: TypeAlias = dict[str, list[tuple[int, float]]]
"""Name of a curve -> its points ``(step, value)``."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One finished artifact in detail.

    Attributes:
        manifest: Its manifest.
        path: Its folder.
        parents: All ancestors, nearest first.
        children: Artifacts that were made from it.
        metrics: Judgements -> measure -> value, of a run.
        curves: Training curves, of a model.
        here: Whether its files are in this store, not only its manifest.
        indexes: Indexes for approximate search, of an embedding set; the command looks for them.
    """

    manifest: Manifest
    path: Path
    parents: list[Listed]
    children: list[Listed]
    metrics: dict[str, dict[str, float]]
    curves: Curves
    here: bool = True
    indexes: Sequence[DescribedIndex] = ()


@dataclass(frozen=True, slots=True)
class ShownWork:
    """An unfinished artifact: in progress, or interrupted.

    Attributes:
        work: The artifact, and the process that works on it.
        last_step: Step of the last logged point.
        updated: Time of the last logged point.
        curves: Training curves so far.
        phase: The job that it does, or did when it stopped; None if it records none.
    """

    work: Unfinished
    last_step: int | None
    updated: datetime | None
    curves: Curves
    phase: Phase | None = None


def listing(store: Store, kind: Kind | None = None) -> list[Listed]:
    """List the artifacts of a store, oldest first; unfinished ones come last."""
    finished = [_listed(manifest) for manifest in store.artifacts(kind)]
    return finished + [_listed_work(work) for work in store.unfinished(kind)]


def _listed(manifest: Manifest) -> Listed:
    return Listed(
        kind=manifest.kind,
        id=manifest.id,
        name=manifest.name,
        created=manifest.created.isoformat(timespec="seconds"),
        about=_about(manifest),
        size_bytes=sum(file.size_bytes for file in manifest.files),
    )


def _listed_work(work: Unfinished) -> Listed:
    points = read_progress(work.path)
    phase = None if points else read_phase(work.path)
    at = f" at step {points[-1][0]:,}" if points else "" if phase is None else f" at {phase}"
    state = f"unfinished{at}, {work.holder or 'interrupted'}"
    return Listed(
        kind=work.kind,
        id=work.id,
        name=work.name,
        created=work.started.isoformat(timespec="seconds"),
        about=f"{_about_model(work.inputs, {}, {})}: {state}" if work.kind == "model" else state,
        size_bytes=_size(work.path),
        unfinished=True,
    )


def _size(folder: Path) -> int:
    """Size in bytes of the files in a folder that another process may change."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size if path.is_file() else 0
    return size


def _about_model(
    inputs: Mapping[str, JsonValue],
    stats: Mapping[str, JsonValue],
    provenance: Mapping[str, JsonValue],
) -> str:
    copied = provenance.get("source")
    origin = inputs.get("source") or (
        f"recipe {inputs.get('recipe')}" if copied is None else f"a copy of {copied}"
    )
    return f"{stats.get('architecture') or inputs.get('architecture')}, {origin}"


def _about_graph(inputs: Mapping[str, JsonValue], stats: Mapping[str, JsonValue]) -> str:
    measured = stats.get("recall")
    recall = f", recall {measured['value']:.3f}" if isinstance(measured, dict) else ""
    metric = inputs.get("metric") or "an unknown metric"
    return (
        f"{inputs.get('embeddings')}: {stats.get('n_documents')} × {inputs.get('k')} by {metric}, "
        f"{inputs.get('builder')}{recall}"
    )


def _about(manifest: Manifest) -> str:
    """One line of description of an artifact."""
    inputs, stats = manifest.inputs, manifest.stats
    if manifest.kind == "model":
        return _about_model(inputs, stats, manifest.provenance)
    if manifest.kind == "embeddings":
        return (
            f"{inputs.get('corpus')}: {stats.get('n_documents')} × {stats.get('dim')} "
            f"{inputs.get('storage_dtype')}"
        )
    if manifest.kind == "graph":
        return _about_graph(inputs, stats)
    if manifest.kind == "calibration":
        return (
            f"{inputs.get('engine')}, {stats.get('n_queries')} queries of {inputs.get('queries')}"
        )
    if manifest.kind == "run":
        queries = inputs.get("queries") or "unnamed queries"
        return f"{queries} over {inputs.get('corpus') or UNNAMED_CORPUS}, k={inputs.get('k')}"
    if manifest.kind == "evaluation":
        return f"{inputs.get('qrels')}: {stats.get('judged_queries')} judged queries"
    return ""


def show(store: Store, ref: str) -> Shown | ShownWork:
    """Show one artifact in detail: manifest, lineage, measures, curves.

    Args:
        store: The project store.
        ref: Id, unique prefix, or name of a finished or unfinished artifact.

    Raises:
        ArtifactNotFound: No artifact has this id or name.
    """
    try:
        manifest = store.get(ref)
    except ArtifactNotFound:
        work = store.find_unfinished(ref)
        if work is not None:
            return _shown_work(work)
        manifest = store.get_or_reference(ref)
    return Shown(
        manifest=manifest,
        path=store.path(manifest),
        parents=[_listed(parent) for parent in _ancestors(store, manifest)],
        children=[_listed(child) for child in store.children_of(manifest.id)],
        metrics=_metrics(store, manifest),
        curves=_curves(store, manifest),
        here=store.has(manifest.id),
    )


def _metrics(store: Store, manifest: Manifest) -> dict[str, dict[str, float]]:
    """Judgements -> measure -> the newest value, of a run."""
    if manifest.kind != "run":
        return {}
    names = JudgementNames(store)
    metrics: dict[str, dict[str, float]] = {}
    for one in store.evaluations(manifest.id):
        name = names.of(judgements_key(one), str(one.inputs.get("qrels")))
        metrics.setdefault(name, {}).update(store.aggregates(one.id))
    return metrics


def _ancestors(store: Store, manifest: Manifest) -> list[Manifest]:
    """All ancestors without repetition, nearest first."""
    ancestors: dict[str, Manifest] = {}
    queue = store.parents_of(manifest.id)
    while queue:
        parent = queue.pop(0)
        if parent.id not in ancestors:
            ancestors[parent.id] = parent
            queue.extend(store.parents_of(parent.id))
    return list(ancestors.values())


def _shown_work(work: Unfinished) -> ShownWork:
    points = read_progress(work.path)
    updated = None
    with contextlib.suppress(FileNotFoundError):  # no point yet, or just finished
        logged = (work.path / PROGRESS_NAME).stat().st_mtime
        updated = datetime.fromtimestamp(logged, UTC).replace(microsecond=0)
    return ShownWork(
        work=work,
        last_step=points[-1][0] if points else None,
        updated=updated,
        curves=_by_name(points),
        phase=read_phase(work.path),
    )


def _curves(store: Store, manifest: Manifest) -> Curves:
    folder = store.path(manifest)
    exists = store.has(manifest.id) or (folder / CURVES_FILE).is_file()
    listed = any(record.path == CURVES_FILE for record in manifest.files)
    if manifest.kind != "model" or not (exists and listed):
        return {}
    rows = read_artifact_table(folder, manifest, CURVES_FILE).to_pydict()
    return _by_name(zip(rows["step"], rows["name"], rows["value"], strict=True))


def _by_name(points: Iterable[Point]) -> Curves:
    curves: Curves = {}
    for step, name, value in points:
        curves.setdefault(name, []).append((step, value))
    return curves
