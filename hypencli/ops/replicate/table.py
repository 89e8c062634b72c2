"""The table of a replication: measured figures and published figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from hypencli.evaluation.p_mrr import P_MRR
from hypencli.ops.replicate.plan import Plan, TableCell
from hypencli.ops.replicate.step import ReplicationContext
from hypencli.recipe.replication import MS_PER_QUERY, PublishedFigures, Replication

_OURS = (P_MRR, MS_PER_QUERY)
"""Figures that are not measures of ir_measures. They are never shown as a loss."""

Agreement: TypeAlias = Literal["same", "near", "differs", "other machine"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Measured values of one cell.

    Attributes:
        aggregates: Measure -> mean over the judged queries.
        judged_queries: Number of judged queries.
        ms_per_query: Milliseconds per query, from its text to the ranking.
        evaluation: Id of the evaluation.
        p_mrr: p-MRR against the run with changed instructions, if there is one.
    """

    aggregates: Mapping[str, float]
    judged_queries: int
    ms_per_query: float
    evaluation: str
    p_mrr: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the table.

    Attributes:
        model: Name of the model in the table.
        dataset: Name of the dataset or pool in the table.
        search: Name of the search in the table.
        measure: Name of the measure.
        value: The measured value; None if it was not measured.
        published: The published value; None if there is none.
        difference: ``value`` minus ``published``.
        agreement: ``same`` if both are equal when rounded, ``near`` within the tolerance,
            ``differs`` beyond it; ``other machine`` for times, which do not compare.
        source: Place of the published value.
        base: Dataset against which the figure is a loss in percent, if it is one.
    """

    model: str
    dataset: str
    search: str
    measure: str
    value: float | None = None
    published: float | None = None
    difference: float | None = None
    agreement: Agreement | None = None
    source: str | None = None
    base: str | None = None


CellKey: TypeAlias = tuple[str, str, str]
"""Model, dataset, search."""


def measured_cells(context: ReplicationContext, plan: Plan) -> dict[CellKey, Measured]:
    """Read the measured values of the cells whose steps are done."""
    return {
        (cell.model, cell.dataset, cell.search): _measured(context, cell)
        for cell in plan.cells
        if context.is_done(cell.step)
    }


def _measured(context: ReplicationContext, cell: TableCell) -> Measured:
    store = context.store
    run, evaluation = context.manifest(cell.step.search), context.manifest(cell.step)
    pair = None if cell.pair is None else context.manifest_if_done(cell.pair)
    seconds = run.stats["seconds"]
    parts = seconds if isinstance(seconds, dict) else {}
    whole = float(str(parts.get("total", 0.0))) - float(str(parts.get("writing", 0.0)))
    return Measured(
        aggregates=store.aggregates(evaluation.id),
        judged_queries=evaluation.stat_int("judged_queries"),
        ms_per_query=1000 * whole / run.stat_int("n_queries"),
        evaluation=evaluation.id,
        p_mrr=None if pair is None else store.aggregates(pair.id)[P_MRR],
    )


def make_table(
    plan: Plan, measured: Mapping[CellKey, Measured], *, references: bool = False
) -> tuple[Figure, ...]:
    """Build the figures, ordered by pool or dataset, measure, search and model.

    Args:
        plan: Cells of the table.
        measured: Measured values of cells.
        references: Also include published figures of models that the table does not have.
    """
    recipe = plan.recipe
    values = {**_pooled(recipe, measured), **measured}
    asked = {(cell.model, cell.dataset, cell.search) for cell in plan.cells}
    planned = [*_whole_pools(recipe, asked), *asked]
    shown = {**recipe.pools, **recipe.datasets}
    published = _published(recipe)
    figures = [
        _figure(recipe, key, measure, values, published)
        for key in planned
        for measure in _measures(recipe, key, published)
    ]
    if references:
        planned_datasets = {dataset for _, dataset, _ in planned}
        figures += [
            _beside(recipe, Figure(*key, measure, base=_base(recipe, key[1], measure)), published)
            for key, measure in published
            if key[0] not in recipe.models and key[1] in planned_datasets
        ]
    return tuple(sorted(figures, key=_Order(recipe, list(shown)).place))


def _measures(
    recipe: Replication, key: CellKey, published: Mapping[tuple[CellKey, str], object]
) -> list[str]:
    """Return the figures of a cell: measures, p-MRR for changed instructions, and the time.

    The time is included if the paper has one for the dataset.
    """
    _, dataset, _ = key
    names = list(canonical(recipe.measures_of(recipe.members_of(dataset)[0])))
    if dataset in recipe.datasets and recipe.datasets[dataset].changed_queries is not None:
        names.append(P_MRR)
    timed = any(of[1] == dataset and name == MS_PER_QUERY for of, name in published)
    return [*names, MS_PER_QUERY] if timed else names


def canonical(names: tuple[str, ...]) -> dict[str, str]:
    """Map the names of measures in evaluations to the names in the recipe."""
    from hypencli.evaluation.measures import parse_measures

    return {str(parse_measures([name])[0]): name for name in names}


def _published(recipe: Replication) -> dict[tuple[CellKey, str], tuple[float, str]]:
    """Map cell and measure to the published value and its source."""
    values: dict[tuple[CellKey, str], tuple[float, str]] = {}
    section = recipe.published
    for figures in () if section is None else section.figures:
        source = figures.source or (section.source if section else "")
        for measure, value in _values(figures):
            key = (figures.model, figures.dataset, figures.search)
            values[key, measure] = (value, source)
    return values


def _values(figures: PublishedFigures) -> Iterator[tuple[str, float]]:
    for name, value in figures.values.items():
        if name in _OURS:
            yield name, value
        else:
            (measure,) = canonical((name,))
            yield measure, value


def _whole_pools(recipe: Replication, asked: set[CellKey]) -> list[CellKey]:
    """Return the cells of pools with all members among the cells."""
    return [
        (model, name, search)
        for name, pool in recipe.pools.items()
        for model in recipe.models
        for search in recipe.searches
        if all((model, member, search) in asked for member in pool.datasets)
    ]


def _pooled(recipe: Replication, measured: Mapping[CellKey, Measured]) -> dict[CellKey, Measured]:
    """Compute the values of pools with all members measured. Queries have equal weights."""
    pooled = {}
    for key in _whole_pools(recipe, set(measured)):
        model, name, search = key
        members = [measured[model, each, search] for each in recipe.pools[name].datasets]
        queries = sum(each.judged_queries for each in members)
        shared = [
            name for name in members[0].aggregates if all(name in m.aggregates for m in members)
        ]
        pooled[key] = Measured(
            aggregates={
                name: sum(m.aggregates[name] * m.judged_queries for m in members) / queries
                for name in shared
            },
            judged_queries=queries,
            ms_per_query=sum(m.ms_per_query * m.judged_queries for m in members) / queries,
            evaluation=", ".join(each.evaluation for each in members),
        )
    return pooled


def _figure(
    recipe: Replication,
    key: CellKey,
    measure: str,
    values: Mapping[CellKey, Measured],
    published: Mapping[tuple[CellKey, str], tuple[float, str]],
) -> Figure:
    model, dataset, search = key
    base = _base(recipe, dataset, measure)
    value = _value(values.get(key), measure)
    if base is not None:
        before = _value(values.get((model, base, search)), measure)
        value = 100 * (before - value) / before if value is not None and before else None
    return _beside(recipe, Figure(*key, measure, value=value, base=base), published)


def _base(recipe: Replication, dataset: str, measure: str) -> str | None:
    """Return the dataset that a figure is a loss against; None if it is no loss."""
    return None if measure in _OURS else recipe.base_of(dataset)


def _value(measured: Measured | None, measure: str) -> float | None:
    if measured is None:
        return None
    if measure in _OURS:
        return measured.ms_per_query if measure == MS_PER_QUERY else measured.p_mrr
    return measured.aggregates.get(measure)


def _beside(
    recipe: Replication,
    figure: Figure,
    published: Mapping[tuple[CellKey, str], tuple[float, str]],
) -> Figure:
    """Add the published value to a figure, if there is one."""
    key = (figure.model, figure.dataset, figure.search)
    published_figure = published.get((key, figure.measure))
    section = recipe.published
    if published_figure is None or section is None:
        return figure
    theirs, source = published_figure
    figure = replace(figure, published=theirs, source=source)
    if figure.value is None:
        return figure
    difference = figure.value - theirs
    agreement: Agreement = "differs"
    if figure.measure == MS_PER_QUERY:
        agreement = "other machine"
    elif round(figure.value, section.decimals) == round(theirs, section.decimals):
        agreement = "same"
    elif abs(difference) <= section.tolerance:
        agreement = "near"
    return replace(figure, difference=difference, agreement=agreement)


class _Order:
    """Order of figures: by dataset, measure, search and model, as in the recipe."""

    def __init__(self, recipe: Replication, datasets: list[str]) -> None:
        self._datasets = datasets
        self._searches = list(recipe.searches)
        self._models = list(recipe.models)
        self._measures: list[str] = []
        for dataset in recipe.datasets:
            for name in canonical(recipe.measures_of(dataset)):
                if name not in self._measures:
                    self._measures.append(name)
        self._measures += _OURS

    def place(self, figure: Figure) -> tuple[int, int, int, int, str]:
        """Return the sort key of a figure. Models that only the paper has come last."""
        is_row = figure.model in self._models
        return (
            self._datasets.index(figure.dataset),
            self._measures.index(figure.measure) if figure.measure in self._measures else 99,
            self._searches.index(figure.search),
            self._models.index(figure.model) if is_row else len(self._models),
            "" if is_row else figure.model,
        )
