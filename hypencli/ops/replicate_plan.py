"""The steps of a replication, in the order they are done, each of them once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from hypencli.errors import DataError, RecipeError, UsageError, did_you_mean
from hypencli.ops.datasets import dataset_place
from hypencli.recipe.replication import ReplicatedDataset, Replication

StepKind: TypeAlias = Literal["prepare", "model", "lists", "encode", "graph", "search", "eval"]


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make a dataset of the hard tasks."""

    dataset: str
    kind: StepKind = "prepare"

    @property
    def needs(self) -> tuple[Step, ...]:
        """Nothing."""
        return ()

    def __str__(self) -> str:
        return f"prepare {self.dataset}"


@dataclass(frozen=True, slots=True)
class TakeModel:
    """Find a model, or register it where it comes from outside."""

    source: str
    backbone: str | None
    pooling: str | None
    made_by: str | None
    kind: StepKind = "model"

    @property
    def needs(self) -> tuple[Step, ...]:
        """Nothing."""
        return ()

    def __str__(self) -> str:
        return f"model {short(self.source)}"


@dataclass(frozen=True, slots=True)
class ImportLists:
    """Take the lists that a dataset's queries are to rank again into the store, as a run."""

    dataset: str
    place: str
    needs: tuple[Step, ...]
    kind: StepKind = "lists"

    def __str__(self) -> str:
        return f"lists {short(self.place)}"


@dataclass(frozen=True, slots=True)
class Encode:
    """Encode a corpus with a model, for all datasets over it."""

    model: TakeModel
    corpus: str
    prepared: tuple[Step, ...]
    kind: StepKind = "encode"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The model, and the corpus where it is prepared."""
        return (self.model, *self.prepared)

    def __str__(self) -> str:
        return f"encode {short(self.corpus)} with {short(self.model.source)}"


@dataclass(frozen=True, slots=True)
class BuildGraph:
    """Find the neighbours of the documents."""

    encode: Encode
    kind: StepKind = "graph"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The embeddings."""
        return (self.encode,)

    def __str__(self) -> str:
        return f"graph of {short(self.encode.corpus)} with {short(self.encode.model.source)}"


@dataclass(frozen=True, slots=True)
class Search:
    """Search a dataset's queries in one way."""

    encode: Encode
    dataset: str
    search: str
    others: tuple[Step, ...] = ()
    kind: StepKind = "search"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The embeddings, and a graph or lists where the search takes them."""
        return (self.encode, *self.others)

    def __str__(self) -> str:
        return f"search {self.dataset} with {short(self.encode.model.source)} ({self.search})"


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Measure what a search has found."""

    search: Search
    kind: StepKind = "eval"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The run."""
        return (self.search,)

    def __str__(self) -> str:
        search = self.search
        return f"eval {search.dataset} with {short(search.encode.model.source)} ({search.search})"


Step: TypeAlias = Prepare | TakeModel | ImportLists | Encode | BuildGraph | Search | Evaluate
_FIRST = ("model", "prepare", "lists")
"""Kinds of steps that come first: where they fail, no hours have been spent."""


def short(place: str) -> str:
    """A name for a line: the end of a path, anything else as it is."""
    path = PurePosixPath(place)
    return f"…/{'/'.join(path.parts[-2:])}" if path.is_absolute() else place


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a table is wanted; empty is all of it.

    Attributes:
        models: Rows.
        datasets: Datasets, or pools, which stand for their members.
        searches: Ways to search.
    """

    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A place in the table: a model and a search on one dataset, and the step that fills it."""

    model: str
    dataset: str
    search: str
    step: Evaluate


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replication does.

    Attributes:
        cells: What is to be filled, in the order of the table.
        steps: What fills it, each after what it needs.
    """

    recipe: Replication
    cells: tuple[Cell, ...]
    steps: tuple[Step, ...]


def plan_replication(recipe: Replication, selection: Selection, *, store_root: Path) -> Plan:
    """Lay out the steps; nothing is read but what names stand for.

    Documents are encoded once for all datasets that share a corpus.

    Raises:
        UsageError: The selection names what the table does not have, or leaves nothing of it.
        RecipeError: A measure of the recipe is none.
    """
    _check_measures(recipe)
    models = _chosen("models", selection.models, recipe.models)
    searches = _chosen("searches", selection.searches, recipe.searches)
    planner = _Planner(recipe, store_root)
    cells = [
        cell
        for model in models
        for dataset in _datasets(recipe, selection)
        for search in searches
        if (cell := planner.cell(model, dataset, search)) is not None
    ]
    if not cells:
        raise UsageError(
            f"Nothing of {recipe.name} is left: none of these models is for these searches.",
            hint=f"Searches of each model: hype replicate {recipe.name} --dry-run",
        )
    ordered = dict.fromkeys(step for cell in cells for step in _with_needs(cell.step))
    first = sorted(
        (step for step in ordered if step.kind in _FIRST), key=lambda step: _FIRST.index(step.kind)
    )
    later = [step for step in ordered if step.kind not in _FIRST]
    return Plan(recipe, tuple(cells), (*first, *later))


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

    def cell(self, model: str, dataset: str, search: str) -> Cell | None:
        """The cell; None where the model or the dataset is not for this search."""
        row, entry = self._recipe.models[model], self._recipe.datasets[dataset]
        how = self._recipe.searches[search]
        if row.searches is not None and search not in row.searches:
            return None
        if entry.lists is not None and how.engine != "exact":
            return None
        prepared = () if entry.prepare is None else (Prepare(entry.prepare),)
        corpus = self._corpus(entry)
        in_it = entry.prepare is not None and PurePosixPath(corpus).parts[0] == entry.prepare
        source = self._recipe.source_of(model, dataset)
        taken = TakeModel(source, row.backbone, row.pooling, row.made_by.get(source))
        encode = Encode(taken, corpus, prepared if in_it else ())
        others: tuple[Step, ...] = prepared
        if how.engine == "graph":
            others = (*others, BuildGraph(encode))
        if entry.lists is not None:
            others = (*others, ImportLists(dataset, entry.lists, prepared))
        return Cell(model, dataset, search, Evaluate(Search(encode, dataset, search, others)))

    def _corpus(self, entry: ReplicatedDataset) -> str:
        """What to encode: the corpus id where it is one of ir_datasets, else the place given."""
        given = entry.corpus or entry.queries
        if given not in self._corpora:
            self._corpora[given] = corpus_name(given, self._root)
        return self._corpora[given]


def corpus_name(given: str, store_root: Path) -> str:
    """The name that all datasets of ir_datasets with the same documents share; others as given."""
    from hypencli.data.corpus import open_corpus

    try:
        corpus = open_corpus(dataset_place(store_root, given))
    except DataError:
        return given  # not there yet, or not at all: the step that reads it will say so
    return corpus.corpus_id if corpus.corpus_id.startswith("irds:") else given


def _datasets(recipe: Replication, selection: Selection) -> list[str]:
    known = {**recipe.pools, **recipe.datasets}
    chosen = _chosen("datasets", selection.datasets, known)
    members = [
        member
        for name in chosen
        for member in (recipe.pools[name].datasets if name in recipe.pools else (name,))
    ]
    return [name for name in recipe.datasets if name in members]


def _chosen(what: str, wanted: tuple[str, ...], known: Iterable[str]) -> list[str]:
    names = list(known)
    for name in wanted:
        if name not in names:
            raise UsageError(
                f"--{what} {name}: the table has no such thing.", hint=did_you_mean(name, names)
            )
    return [name for name in names if not wanted or name in wanted]


def _check_measures(recipe: Replication) -> None:
    from hypencli.measures import parse_measures

    for dataset in recipe.datasets:
        try:
            parse_measures(recipe.measures_of(dataset))
        except UsageError as error:
            raise RecipeError(f"{recipe.name}: {error.message}", hint=error.hint) from error
