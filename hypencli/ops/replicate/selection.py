"""Selection of a part of a replication, and checks of its losses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypencli.errors import RecipeError, UsageError, did_you_mean
from hypencli.evaluation.measures import parse_measures
from hypencli.recipe.replication import Replication


@dataclass(frozen=True, slots=True)
class TableSelection:
    """Part of a table. Empty fields select everything.

    Attributes:
        models: Names of models.
        datasets: Names of datasets, or of pools, which select their members.
        searches: Names of searches.
    """

    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Datasets that are left out because the user must provide an input.

    Attributes:
        datasets: Names of the datasets.
        reason: The missing input.
    """

    datasets: tuple[str, ...]
    reason: str


def choose(what: str, wanted: tuple[str, ...], existing: Iterable[str]) -> list[str]:
    """Select names in the order of the table. Without a selection, all are selected.

    Args:
        what: ``models``, ``datasets`` or ``searches``, for the error.
        wanted: The selected names.
        existing: The names of the table.

    Raises:
        UsageError: A name is not in the table.
    """
    names = list(existing)
    for name in wanted:
        if name not in names:
            raise UsageError(
                f"The table has no {name} among its {what}.", hint=did_you_mean(name, names)
            )
    return [name for name in names if not wanted or name in wanted]


def choose_datasets(
    recipe: Replication, wanted: tuple[str, ...]
) -> tuple[list[str], tuple[LeftOut, ...]]:
    """Select datasets, with the bases of their losses.

    A dataset whose perturbation needs an input of the user is left out without that input, unless
    it is selected by name.

    Returns:
        Names of the selected datasets, and the datasets left out.

    Raises:
        UsageError: A selected dataset does not exist, or lacks an input.
    """
    names = choose("datasets", wanted, {**recipe.pools, **recipe.datasets})
    everything = _with_bases(recipe, names)
    lacking = {name: reason for name in everything if (reason := _lacks(recipe, name))}
    if lacking and (wanted or len(lacking) == len(everything)):
        name, reason = next(iter(lacking.items()))
        raise UsageError(f"The queries of {name} cannot be perturbed: {reason}.")
    left_out = [
        LeftOut(tuple(name for name in lacking if lacking[name] == reason), reason)
        for reason in dict.fromkeys(lacking.values())
    ]
    return [name for name in everything if name not in lacking], tuple(left_out)


def _with_bases(recipe: Replication, names: list[str]) -> list[str]:
    """Return the datasets, the members of pools, and the bases of their losses."""
    bases: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in bases:
            bases.add(name)
            base = recipe.base_of(name)
            waiting += [*recipe.members_of(name), *([] if base is None else [base])]
    return [name for name in recipe.datasets if name in bases]


def _lacks(recipe: Replication, dataset: str) -> str | None:
    variation = recipe.datasets[dataset].perturb
    return None if variation is None else recipe.perturb.lacks(variation)


def check_measures(recipe: Replication) -> None:
    """Refuse unknown measures, and losses in measures that the base lacks.

    Raises:
        RecipeError: There is such a measure.
    """
    measured = {name: _canonical(recipe, name) for name in {**recipe.datasets, **recipe.pools}}
    for name, measures in measured.items():
        base = recipe.base_of(name)
        if base is not None and (lacking := sorted(measures - measured[base])):
            raise RecipeError(
                f"{recipe.name}: {name} is a loss against {base}, which does not have the measure "
                f"{lacking[0]}.",
                hint=f"Give both the same measures: {base} has {', '.join(sorted(measured[base]))}",
            )


def _canonical(recipe: Replication, shown: str) -> set[str]:
    """Return the measures of a dataset or pool, by the names that evaluations record."""
    names = [recipe.measures_of(member) for member in recipe.members_of(shown)]
    try:
        parsed = [{str(measure) for measure in parse_measures(each)} for each in names]
    except UsageError as error:
        raise RecipeError(f"{recipe.name}: {error.message}", hint=error.hint) from error
    return set.intersection(*parsed)


def check_bases(recipe: Replication, cells: set[tuple[str, str, str]]) -> None:
    """Refuse losses whose base has no cell with the same model and search.

    Args:
        recipe: The table.
        cells: Model, dataset and search of all cells.

    Raises:
        RecipeError: There is such a loss.
    """
    losses = {
        name: base
        for name in {**recipe.datasets, **recipe.pools}
        if (base := recipe.base_of(name)) is not None
    }
    for model, search in sorted({(model, search) for model, _, search in cells}):
        planned = {dataset for one, dataset, way in cells if (one, way) == (model, search)}
        for name, base in losses.items():
            lacking = [each for each in recipe.members_of(base) if each not in planned]
            if lacking and planned.issuperset(recipe.members_of(name)):
                raise RecipeError(
                    f"{recipe.name}: {name} is a loss against {base}, but {lacking[0]} is not "
                    f"searched with {model} by {search}.",
                    hint=f"Give {name} and {lacking[0]} the same lists, or select others: "
                    "`datasets=NAMES`, `searches=NAMES`",
                )
