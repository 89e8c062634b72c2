"""Lineage for an HTML report: all artifacts that the figures derive from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from hypencli.errors import DataError
from hypencli.ops.model_card import RECIPE_FILE
from hypencli.ops.models import display_name
from hypencli.private_paths import PathShortener
from hypencli.reporting.contents import Artifact, Environment, Leaderboard, Lineage, SearchCosts
from hypestore import Manifest, Store

Fact: TypeAlias = str | int | float | None

_HASH_DIGITS = 10

FACTS: dict[str, tuple[tuple[str, str], ...]] = {
    "evaluation": (
        ("judgements", "inputs.qrels"),
        ("hash of the judgements", "inputs.qrels_fingerprint"),
        ("judged queries", "stats.judged_queries"),
    ),
    "run": (
        ("engine", "inputs.engine"),
        ("corpus", "inputs.corpus"),
        ("queries", "inputs.queries"),
        ("hash of the queries", "inputs.queries_fingerprint"),
        ("number of queries", "stats.n_queries"),
        ("k", "inputs.k"),
        ("width", "inputs.width"),
        ("query tokens", "inputs.query_max_length"),
        ("dtype", "inputs.dtype"),
    ),
    "calibration": (
        ("engine", "inputs.engine"),
        ("queries", "inputs.queries"),
        ("hash of the queries", "inputs.queries_fingerprint"),
        ("number of queries", "stats.n_queries"),
        ("seed", "inputs.seed"),
    ),
    "graph": (
        ("k", "inputs.k"),
        ("metric", "inputs.metric"),
        ("builder", "inputs.builder"),
        ("documents", "stats.n_documents"),
    ),
    "embeddings": (
        ("corpus", "inputs.corpus"),
        ("hash of the corpus", "inputs.corpus_fingerprint"),
        ("hash of the encoder", "inputs.passage_fingerprint"),
        ("documents", "stats.n_documents"),
        ("width", "inputs.dim"),
        ("passage tokens", "inputs.max_length"),
        ("dtype", "inputs.dtype"),
        ("kept as", "inputs.storage_dtype"),
    ),
    "model": (
        ("architecture", "stats.architecture"),
        ("recipe", "inputs.recipe"),
        ("source", "inputs.source"),
        ("training data", "inputs.data"),
        ("hash of the data", "inputs.data_fingerprint"),
        ("backbone", "inputs.backbone"),
        ("seed", "inputs.seed"),
        ("steps", "stats.steps"),
        ("parameters", "stats.parameters"),
        ("trained parameters", "stats.trainable_parameters"),
        ("training seconds", "stats.seconds"),
        ("hash of the weights", "stats.model_fingerprint"),
    ),
}
"""Kind, children first -> facts of an artifact: name, and place in the manifest."""


def lineage_of(
    store: Store,
    boards: Sequence[Leaderboard],
    costs: Sequence[SearchCosts],
    *,
    runs: int,
    recipe_characters: int,
    shortener: PathShortener,
) -> tuple[Lineage, int]:
    """Gather the artifacts that leaderboards and search costs derive from, down to the recipes.

    Args:
        store: The project store.
        boards: The leaderboards.
        costs: Search costs.
        runs: Maximum number of runs. Those of the leaderboards come first.
        recipe_characters: Maximum length of a recipe's text.
        shortener: Shortens the paths in facts and recipes.

    Returns:
        The lineage, and the number of runs left out.
    """
    by_id = {manifest.id: manifest for manifest in (*store.references(), *store.artifacts())}
    evaluations: dict[str, tuple[str, ...]] = {}
    for entry in (entry for board in boards for entry in board.entries):
        evaluations[entry.run] = (*evaluations.get(entry.run, ()), *entry.evaluations)
    for search in (search for one in costs for search in one.searches):
        evaluations.setdefault(search.run, ())
    shown = list(evaluations)[:runs]
    measured = [one for run in shown for one in evaluations[run]]
    manifests = _with_ancestors([*shown, *measured], by_id)
    places: dict[tuple[tuple[str, str], ...], int] = {}
    artifacts = [
        _artifact(store, manifest, places, recipe_characters, shortener)
        for manifest in sorted(manifests, key=lambda one: list(FACTS).index(one.kind))
    ]
    environments = tuple(Environment(facts) for facts in places)
    return Lineage(tuple(artifacts), environments), len(evaluations) - len(shown)


def _with_ancestors(ids: Iterable[str], by_id: Mapping[str, Manifest]) -> list[Manifest]:
    """Artifacts and all their readable ancestors, without repetition."""
    ancestors: dict[str, Manifest] = {}
    queue = list(ids)
    while queue:
        one = queue.pop(0)
        if one not in ancestors and one in by_id:
            ancestors[one] = by_id[one]
            queue.extend(by_id[one].parents)
    return list(ancestors.values())


def _artifact(
    store: Store,
    manifest: Manifest,
    places: dict[tuple[tuple[str, str], ...], int],
    recipe_characters: int,
    shortener: PathShortener,
) -> Artifact:
    """An artifact. A new environment is appended to ``places``."""
    origin = manifest.provenance
    device = origin.get("device")
    facts = [(name, _fact(manifest, place, shortener)) for name, place in FACTS[manifest.kind]]
    facts.append(("where", None if store.has(manifest.id) else "in another store"))
    return Artifact(
        kind=manifest.kind,
        id=manifest.id,
        label=display_name(manifest),
        created=manifest.created,
        facts=tuple(facts),
        parents=manifest.parents,
        environment=places.setdefault(_environment(origin), len(places)),
        device=device if isinstance(device, str) else None,
        recipe=_recipe(store.path(manifest), recipe_characters, shortener),
    )


def _fact(manifest: Manifest, place: str, shortener: PathShortener) -> Fact:
    """A value of a manifest. A hash is shortened to the number of digits that ids have."""
    part, _, key = place.partition(".")
    value = getattr(manifest, part).get(key)
    if isinstance(value, str) and key.endswith("_fingerprint"):
        return value[:_HASH_DIGITS]
    if isinstance(value, int | float | None):
        return value
    return shortener.text(str(value))


def _environment(provenance: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Versions and hardware, as far as recorded."""
    packages = provenance.get("packages")
    versions = packages.items() if isinstance(packages, Mapping) else ()
    facts = {
        "hype": provenance.get("hype"),
        "git": provenance.get("git"),
        "python": provenance.get("python"),
        **dict(versions),
        "platform": provenance.get("platform"),
        "processor": provenance.get("processor"),
        "CPUs": provenance.get("cpus"),
    }
    return tuple((name, str(value)) for name, value in facts.items() if value is not None)


def _recipe(folder: Path, characters: int, shortener: PathShortener) -> str | None:
    """The beginning of the recipe that lies beside a model's weights."""
    path = folder / RECIPE_FILE
    if not path.is_file():
        return None
    try:
        text = shortener.toml(path.read_text(encoding="utf-8", errors="replace"))
    except DataError as error:
        return f"# {error.message} hype report --html FILE --keep-paths shows it.\n"
    return text if len(text) <= characters else f"{text[:characters]}\n…"
