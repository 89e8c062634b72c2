"""Changed queries of a replication: how they are made, and where they lie."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hypencli.data.queries import open_queries
from hypencli.data.source import IrdsSource, resolve
from hypencli.data.variations import read_synonyms
from hypencli.ops.datasets import DATA_FOLDER, dataset_place
from hypencli.ops.perturb import PerturbOptions
from hypencli.ops.replicate_steps import Perturb
from hypencli.recipe.replication import Replication

PERTURBED_FOLDER = "perturbed"
"""Below the store's prepared datasets; it may be deleted, and is then made again."""


def perturb_options(recipe: Replication, step: Perturb, device: str | None) -> PerturbOptions:
    """How queries are changed: of what the recipe gives, what this kind takes."""
    settings, variation = recipe.perturb, step.variation
    rewrites = variation == "paraphrase"
    return PerturbOptions(
        kind=variation,
        seed=settings.seed,
        changes=1 if rewrites else settings.changes,
        words=Path(settings.words).expanduser()
        if variation == "synonym" and settings.words
        else None,
        model=settings.model if rewrites else None,
        prefix=settings.prefix if rewrites else "",
        device=device,
    )


def perturbed_path(store_root: Path, recipe: Replication, step: Perturb) -> Path:
    """Where the changed queries of a step lie, whether they are there or not.

    The name holds a hash of the queries, of the word list's entries, and of the other options; a
    paraphrasing model counts by its name. ``report`` reads kind and seed from it. Queries of
    ir_datasets count by their id, so that nothing is downloaded.

    Raises:
        DataError: The queries or the word list cannot be read.
    """
    options = perturb_options(recipe, step, None)
    place = dataset_place(store_root, step.queries)
    source = resolve(place, what="query set")
    is_irds = isinstance(source, IrdsSource)
    made_of = [
        source.id if is_irds else open_queries(place).fingerprint,
        options.changes,
        None if options.words is None else read_synonyms(options.words),
        options.model,
        options.prefix,
    ]
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{source.id_prefix.replace('/', '-')}-{key}.{options.kind}-{options.seed}.jsonl"
    return store_root / DATA_FOLDER / PERTURBED_FOLDER / name
