"""The steps of a replication in order of execution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from hypencli.engine.registry.entry import EngineEntry, TextEngineEntry
from hypencli.errors import DataError, RecipeError, UsageError
from hypencli.escaping import escape_shell
from hypencli.ops.dataset_names import dataset_place
from hypencli.ops.replicate.corpus_steps import EncodeStep, GraphStep
from hypencli.ops.replicate.input_steps import ListsStep, ModelStep, PerturbStep, PrepareStep
from hypencli.ops.replicate.measure_steps import EvaluateStep, PMrrStep
from hypencli.ops.replicate.search_steps import SearchStep, TextSearchStep
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
"""Kinds of steps that come first, so that they fail before hours of work."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell of the table: model, search and dataset, with the steps that fill it.

    Attributes:
        model: Name of the model in the table.
        dataset: Name of the dataset in the table.
        search: Name of the search in the table.
        step: Evaluates the search.
        pair: Computes p-MRR, for a dataset with changed instructions.
    """

    model: str
    dataset: str
    search: str
    step: EvaluateStep
    pair: PMrrStep | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The final steps of the cell."""
        return (self.step,) if self.pair is None else (self.step, self.pair)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a replication.

    Attributes:
        recipe: The table.
        cells: Cells to fill, in the order of the table.
        steps: Steps to run. Every step comes after the steps that it needs.
        left_out: Datasets that are not part of the plan.
    """

    recipe: Replication
    cells: tuple[TableCell, ...]
    steps: tuple[Step, ...]
    left_out: tuple[LeftOut, ...] = ()


def plan_replication(recipe: Replication, selection: TableSelection, *, store_root: Path) -> Plan:
    """Plan the steps of a replication. Only names are resolved; no data is read.

    Documents are encoded once for all datasets that share a corpus. The base of a loss is always
    part of the plan.

    Args:
        recipe: The table.
        selection: Part of the table to fill.
        store_root: Folder of the store.

    Raises:
        UsageError: The selection has an unknown name, a dataset lacks an input, or no cell is left.
        RecipeError: The recipe has an unknown measure, or a loss whose base is not evaluated.
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
            f"No cell of {recipe.name} is selected: none of these models has these searches.",
            hint=f"Searches of each model: hype replicate {escape_shell(recipe.name)} --dry-run",
        )
    check_bases(recipe, {(cell.model, cell.dataset, cell.search) for cell in cells})
    return Plan(recipe, tuple(cells), _in_order(cells), left_out)


def _in_order(cells: Iterable[TableCell]) -> tuple[Step, ...]:
    """Order the steps without repetition, after the steps that they need."""
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
    """Makes the steps of cells. Cells share equal steps."""

    def __init__(self, recipe: Replication, store_root: Path) -> None:
        self._recipe = recipe
        self._root = store_root
        self._corpora: dict[str, str] = {}

    def cell(self, model: str, dataset: str, search: str) -> TableCell | None:
        """Make a cell; None if the model or the dataset does not have this search."""
        row, entry = self._recipe.models[model], self._recipe.datasets[dataset]
        how = self._recipe.searches[search]
        engine = _engine_of(search, how)
        takes_model = not isinstance(engine, TextEngineEntry)
        is_wanted = takes_model if row.searches is None else search in row.searches
        if not is_wanted:
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
        kind = SearchStep if takes_model else TextSearchStep
        step = kind(
            encode,
            dataset,
            search,
            prepared,
            perturb=None if perturb is None else PerturbStep(entry.queries, perturb, prepared),
            graph=GraphStep(encode) if "graph" in engine.needs else None,
            lists=None if lists is None else ListsStep(dataset, lists, prepared),
        )
        again = replace(step, changed=True)
        pair = None if entry.changed_queries is None else PMrrStep(step, again)
        return TableCell(model, dataset, search, EvaluateStep(step), pair)

    def _corpus(self, entry: ReplicatedDataset) -> str:
        """Return the corpus to encode: a corpus id of ir_datasets, else the value of the recipe."""
        named = entry.corpus or entry.queries
        if named not in self._corpora:
            self._corpora[named] = corpus_name(named, self._root)
        return self._corpora[named]


def corpus_name(named: str, store_root: Path) -> str:
    """Resolve a dataset of ir_datasets to its corpus id. Other values are returned unchanged."""
    from hypencli.data.corpus import open_corpus

    try:
        corpus = open_corpus(dataset_place(store_root, named))
    except DataError:
        return named  # missing: the step that reads it reports the error
    return corpus.corpus_id if corpus.corpus_id.startswith("irds:") else named


def _engine_of(name: str, how: ReplicatedSearch) -> EngineEntry[Any]:
    """Look up the engine of a search of the table.

    Raises:
        RecipeError: There is no such engine, or an option is unknown or wrong.
    """
    try:
        entry, _ = parse_spec(EngineSpec(how.engine, how.options))
    except UsageError as error:
        raise RecipeError(f"searches.{name}: {error.message}", hint=error.hint) from error
    return entry
