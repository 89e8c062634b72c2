"""What a replication says to each verb that it uses."""

from __future__ import annotations

from pathlib import Path

from hypencli.data.source import Source, resolve
from hypencli.errors import DataError
from hypencli.ops.datasets import dataset_place
from hypencli.ops.encode import EncodeOptions
from hypencli.ops.evaluate import EvaluateOptions
from hypencli.ops.graph import GraphOptions
from hypencli.ops.models import ModelSource
from hypencli.ops.replicate_steps import SearchStep, TakeModel
from hypencli.ops.search_records import SearchOptions
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
    from hypencli.engine.graph import PRESETS

    entry, how = dataset_of(recipe, step), recipe.searches[step.search]
    judged = evaluate_options(recipe, step, store_root)
    return SearchOptions(
        k=recipe.k,
        engine="rerank" if entry.lists is not None else how.engine,
        embeddings=embeddings,
        query_max_length=entry.query_max_length or recipe.query_max_length,
        exclude_same_id=entry.exclude_same_id,
        device=device,
        dtype=recipe.dtype,
        qrels=judged.qrels,
        measures=judged.measures,
        graph=graph,
        walk=None if how.preset is None else PRESETS[how.preset],
        rerank=lists,
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
