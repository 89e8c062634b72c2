"""What a replication says to each verb that it uses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hypencli.data.queries import open_queries
from hypencli.data.reading.source import (
    IrdsSource,
    Source,
    resolve,
)
from hypencli.data.variations import read_synonyms
from hypencli.errors import DataError
from hypencli.ops.dataset_names import DATA_FOLDER, dataset_place
from hypencli.ops.encode import EncodeOptions
from hypencli.ops.evaluation.run import EvaluateOptions
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.models import ModelSource
from hypencli.ops.perturb import PerturbOptions
from hypencli.ops.replicate.steps import (
    Perturb,
    SearchStep,
    TakeModel,
)
from hypencli.ops.search.options import (
    EngineSpec,
    Output,
    Scoring,
    SearchOptions,
    Target,
)
from hypencli.recipe.replication import ReplicatedDataset, Replication


def model_source(step: TakeModel, *, trust_code: bool = False) -> ModelSource:
    """The model of a step."""
    return ModelSource(
        step.source, backbone=step.backbone, pooling=step.pooling, trust_code=trust_code
    )


def encode_options(recipe: Replication, device: str | None) -> EncodeOptions:
    """How documents are encoded."""
    return EncodeOptions(**recipe.encoding.model_dump(), device=device)


def graph_options(recipe: Replication, device: str | None) -> GraphOptions:
    """How neighbour graphs are made."""
    return GraphOptions(**recipe.graph.model_dump(), device=device)


def dataset_of(recipe: Replication, step: SearchStep) -> ReplicatedDataset:
    """What a search asks: the dataset as it is, or with changed instructions."""
    entry = recipe.datasets[step.dataset]
    return entry.with_changed_instructions() if step.changed else entry


def evaluate_options(recipe: Replication, step: SearchStep, store_root: Path) -> EvaluateOptions:
    """What the run of a search is measured with."""
    qrels = dataset_place(store_root, dataset_of(recipe, step).qrels)
    return EvaluateOptions(qrels=qrels, measures=recipe.measures_of(step.dataset))


def search_options(
    recipe: Replication,
    step: SearchStep,
    *,
    embeddings: str,
    graph: str | None = None,
    lists: str | None = None,
    store_root: Path,
    device: str | None,
) -> SearchOptions:
    """How a dataset is searched.

    Args:
        recipe: The table.
        step: Which dataset, in which way.
        embeddings: Id of the embedding set.
        graph: Id of the neighbour graph, where it is walked.
        lists: Id of the run whose documents are ranked again, where the dataset says so.
        store_root: The store, whose datasets are called by name.
        device: Where to score.
    """
    entry, how = dataset_of(recipe, step), recipe.searches[step.search]
    judged = evaluate_options(recipe, step, store_root)
    if entry.lists is not None:
        engine = EngineSpec("rerank", {} if lists is None else {"run": lists})
    elif graph is not None:
        engine = EngineSpec(how.engine, {**how.options, "graph": graph})
    else:
        engine = EngineSpec(how.engine, how.options)
    return SearchOptions(
        k=recipe.k,
        exclude_same_id=entry.exclude_same_id,
        engine=engine,
        target=Target(embeddings=embeddings),
        scoring=Scoring(
            query_max_length=entry.query_max_length or recipe.query_max_length,
            dtype=recipe.dtype,
            device=device,
        ),
        output=Output(qrels=judged.qrels, measures=judged.measures),
    )


def query_source(recipe: Replication, step: SearchStep, store_root: Path) -> Source | None:
    """What the queries of a search are, without reading them; None where they are prepared later.

    Of queries that are changed first it is what they are changed from.

    Raises:
        DataError: They are not there; the hint is the command that makes them.
    """
    entry = dataset_of(recipe, step)
    try:
        return resolve(dataset_place(store_root, entry.queries), what="query set")
    except DataError as error:
        if entry.prepare is not None:
            return None
        if entry.made_by is None:
            raise
        raise DataError(error.message, hint=f"Make it: {entry.made_by}") from error


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
