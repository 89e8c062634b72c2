"""The steps of a replication, in the order they are done, each of them once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from hypencli.engine.registry.entry import EngineEntry
from hypencli.errors import DataError, RecipeError, UsageError
from hypencli.ops.dataset_names import dataset_place
from hypencli.ops.replicate.corpus_steps import EncodeStep, GraphStep
from hypencli.ops.replicate.input_steps import ListsStep, ModelStep, PerturbStep, PrepareStep
from hypencli.ops.replicate.measure_steps import EvaluateStep, PMrrStep
from hypencli.ops.replicate.search_steps import SearchStep
from hypencli.ops.replicate.selection import (
    LeftOut,
    TableSelection,
    check_bases,
    check_measures,
    choose,
    choose_datasets,
)
from hypencli.ops.replicate.step import Step
from hypencli.ops.search.engines import parse_spec
from hypencli.ops.search.options import EngineSpec
from hypencli.recipe.replication import ReplicatedDataset, ReplicatedSearch, Replication

_FIRST = ("model", "prepare", "perturb", "lists")
"""Kinds of steps that come first: where they fail, no hours have been spent."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """A place in the table: a model and a search on one dataset, and the steps that fill it.

    Attributes:
        step: Measures the search.
        pair: Compares it with that of the changed instructions, where there are any.
    """

    model: str
    dataset: str
    search: str
    step: EvaluateStep
    pair: PMrrStep | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """All that fill it."""
        return (self.step,) if self.pair is None else (self.step, self.pair)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replication does.

    Attributes:
        cells: What is to be filled, in the order of the table.
        steps: What fills it, each after what it needs.
        left_out: What is no part of it.
    """

    recipe: Replication
    cells: tuple[TableCell, ...]
    steps: tuple[Step, ...]
    left_out: tuple[LeftOut, ...] = ()


def plan_replication(recipe: Replication, selection: TableSelection, *, store_root: Path) -> Plan:
    """Lay out the steps; nothing is read but what names stand for.

    Documents are encoded once for all datasets that share a corpus. What a loss is against is done
    too, whatever was selected.

    Raises:
        UsageError: The selection names what the table does not have or what lacks something, or
            leaves nothing of it.
        RecipeError: A measure of the recipe is none, or a loss is against what is not measured.
    """
    check_measures(recipe)
    models = choose("models", selection.models, recipe.models)
    searches = choose("searches", selection.searches, recipe.searches)
    datasets, left_out = choose_datasets(recipe, selection.datasets)
    planner = _Planner(recipe, store_root)
    cells = [
        cell
        for model in models
        for dataset in datasets
        for search in searches
        if (cell := planner.cell(model, dataset, search)) is not None
    ]
    if not cells:
        raise UsageError(
            f"Nothing of {recipe.name} is left: none of these models is for these searches.",
            hint=f"Searches of each model: hype replicate {recipe.name} --dry-run",
        )
    check_bases(recipe, {(cell.model, cell.dataset, cell.search) for cell in cells})
    return Plan(recipe, tuple(cells), _in_order(cells), left_out)


def _in_order(cells: Iterable[TableCell]) -> tuple[Step, ...]:
    """Each step once, after what it needs; what may fail at once comes first."""
    finals = [step for cell in cells for step in cell.steps]
    ordered = dict.fromkeys(step for final in finals for step in _with_needs(final))
    first = sorted(
        (step for step in ordered if step.kind in _FIRST), key=lambda step: _FIRST.index(step.kind)
    )
    return (*first, *(step for step in ordered if step.kind not in _FIRST))


def _with_needs(step: Step) -> Iterable[Step]:
    for needed in step.needs:
        yield from _with_needs(needed)
    yield step


class _Planner:
    """Makes the steps of one cell; equal steps of several cells are one."""

    def __init__(self, recipe: Replication, store_root: Path) -> None:
        self._recipe = recipe
        self._root = store_root
        self._corpora: dict[str, str] = {}

    def cell(self, model: str, dataset: str, search: str) -> TableCell | None:
        """The cell; None where the model or the dataset is not for this search."""
        row, entry = self._recipe.models[model], self._recipe.datasets[dataset]
        how = self._recipe.searches[search]
        if row.searches is not None and search not in row.searches:
            return None
        if entry.lists is not None and how.engine != "exact":
            return None
        prepared = () if entry.prepare is None else (PrepareStep(entry.prepare),)
        corpus = self._corpus(entry)
        in_it = entry.prepare is not None and PurePosixPath(corpus).parts[0] == entry.prepare
        source = self._recipe.source_of(model, dataset)
        taken = ModelStep(source, row.backbone, row.pooling, row.made_by.get(source))
        encode = EncodeStep(taken, corpus, prepared if in_it else ())
        perturb, lists = entry.perturb, entry.lists
        walks_a_graph = "graph" in _engine_of(search, how).needs
        step = SearchStep(
            encode,
            dataset,
            search,
            prepared,
            perturb=None if perturb is None else PerturbStep(entry.queries, perturb, prepared),
            graph=GraphStep(encode) if walks_a_graph else None,
            lists=None if lists is None else ListsStep(dataset, lists, prepared),
        )
        again = replace(step, changed=True)
        pair = None if entry.changed_queries is None else PMrrStep(step, again)
        return TableCell(model, dataset, search, EvaluateStep(step), pair)

    def _corpus(self, entry: ReplicatedDataset) -> str:
        """What to encode: the corpus id where it is one of ir_datasets, else the place given."""
        named = entry.corpus or entry.queries
        if named not in self._corpora:
            self._corpora[named] = corpus_name(named, self._root)
        return self._corpora[named]


def corpus_name(named: str, store_root: Path) -> str:
    """The name that all datasets of ir_datasets with the same documents share; others as given."""
    from hypencli.data.corpus import open_corpus

    try:
        corpus = open_corpus(dataset_place(store_root, named))
    except DataError:
        return named  # not there yet, or not at all: the step that reads it will say so
    return corpus.corpus_id if corpus.corpus_id.startswith("irds:") else named


def _engine_of(name: str, how: ReplicatedSearch) -> EngineEntry[Any]:
    """The engine of a search of the table.

    Raises:
        RecipeError: There is none, or an option is unknown or wrong.
    """
    try:
        entry, _ = parse_spec(EngineSpec(how.engine, how.options))
    except UsageError as error:
        raise RecipeError(f"searches.{name}: {error.message}", hint=error.hint) from error
    return entry
