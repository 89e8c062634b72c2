"""The project store as a whole: making, listing, showing, removing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypestore import Manifest, Store

KINDS = ("model", "embeddings", "graph", "run", "evaluation")


@dataclass(frozen=True, slots=True)
class Listed:
    """One artifact of a listing."""

    kind: str
    id: str
    name: str | None
    created: str
    about: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Shown:
    """One artifact with all that is known of it.

    Attributes:
        parents: What it was made from, nearest first, to the model.
        children: What was made from it.
        curves: Training curves of a model: name -> (step, value).
    """

    manifest: Manifest
    path: Path
    parents: list[Listed]
    children: list[Listed]
    metrics: dict[str, dict[str, float]]
    curves: dict[str, list[tuple[int, float]]]


def listing(store: Store, kind: str | None = None) -> list[Listed]:
    """The artifacts of a store, oldest first."""
    return [_listed(manifest) for manifest in store.artifacts(kind)]  # type: ignore[arg-type]


def _listed(manifest: Manifest) -> Listed:
    return Listed(
        kind=manifest.kind,
        id=manifest.id,
        name=manifest.name,
        created=manifest.created.isoformat(timespec="seconds"),
        about=_about(manifest),
        size_bytes=sum(file.size_bytes for file in manifest.files),
    )


def _about(manifest: Manifest) -> str:
    """One line on what an artifact is, from its manifest."""
    inputs, stats = manifest.inputs, manifest.stats
    if manifest.kind == "model":
        origin = inputs.get("source") or f"recipe {inputs.get('recipe')}"
        return f"{stats.get('architecture') or inputs.get('architecture')}, {origin}"
    if manifest.kind == "embeddings":
        return (
            f"{inputs.get('corpus')}: {stats.get('n_documents')} × {stats.get('dim')} "
            f"{inputs.get('storage_dtype')}"
        )
    if manifest.kind == "run":
        return f"{inputs.get('queries')} over {inputs.get('corpus')}, k={inputs.get('k')}"
    if manifest.kind == "evaluation":
        return f"{inputs.get('qrels')}: {stats.get('judged_queries')} judged queries"
    return ""


def show(store: Store, ref: str) -> Shown:
    """Everything about one artifact: manifest, lineage, measures, curves."""
    manifest = store.get(ref)
    metrics = {}
    if manifest.kind == "run":
        metrics = {
            str(evaluation.inputs["qrels"]): store.aggregates(evaluation.id)
            for evaluation in store.evaluations(manifest.id)
        }
    return Shown(
        manifest=manifest,
        path=store.path(manifest),
        parents=[_listed(parent) for parent in _ancestors(store, manifest)],
        children=[_listed(child) for child in store.children_of(manifest.id)],
        metrics=metrics,
        curves=_curves(store, manifest),
    )


def _ancestors(store: Store, manifest: Manifest) -> list[Manifest]:
    """Parents, their parents, and so on, each once, nearest first."""
    found: dict[str, Manifest] = {}
    queue = store.parents_of(manifest.id)
    while queue:
        parent = queue.pop(0)
        if parent.id not in found:
            found[parent.id] = parent
            queue.extend(store.parents_of(parent.id))
    return list(found.values())


def _curves(store: Store, manifest: Manifest) -> dict[str, list[tuple[int, float]]]:
    path = store.path(manifest) / "training.parquet"
    if manifest.kind != "model" or not path.exists():
        return {}
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pydict()
    curves: dict[str, list[tuple[int, float]]] = {}
    for step, name, value in zip(rows["step"], rows["name"], rows["value"], strict=True):
        curves.setdefault(name, []).append((step, value))
    return curves
