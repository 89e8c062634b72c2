"""Which part of a replication is done, and whether its losses can be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypencli.errors import RecipeError, UsageError, did_you_mean
from hypencli.evaluation.measures import parse_measures
from hypencli.recipe.replication import Replication


@dataclass(frozen=True, slots=True)
class TableSelection:
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
class LeftOut:
    """Datasets that are not done, for want of something that only the user can give."""

    datasets: tuple[str, ...]
    reason: str


def choose(what: str, wanted: tuple[str, ...], known_names: Iterable[str]) -> list[str]:
    """The names that are wanted, in the order of the table; none wanted: all of them.

    Raises:
        UsageError: One of them is not there.
    """
    names = list(known_names)
    for name in wanted:
        if name not in names:
            raise UsageError(
                f"--{what} {name}: the table has no such thing.", hint=did_you_mean(name, names)
            )
    return [name for name in names if not wanted or name in wanted]


def choose_datasets(
    recipe: Replication, wanted: tuple[str, ...]
) -> tuple[list[str], tuple[LeftOut, ...]]:
    """The datasets that are done, with those that losses are against, and those left out.

    A dataset whose queries are changed with something of the user's is left out where that was not
    given, unless it was asked for.

    Raises:
        UsageError: One that is wanted is not there, or lacks something.
    """
    names = choose("datasets", wanted, {**recipe.pools, **recipe.datasets})
    everything = _with_bases(recipe, names)
    lacking = {name: reason for name in everything if (reason := _lacks(recipe, name))}
    if lacking and (wanted or len(lacking) == len(everything)):
        name, reason = next(iter(lacking.items()))
        raise UsageError(f"The queries of {name} cannot be changed: {reason}.")
    left_out = [
        LeftOut(tuple(name for name in lacking if lacking[name] == reason), reason)
        for reason in dict.fromkeys(lacking.values())
    ]
    return [name for name in everything if name not in lacking], tuple(left_out)


def _with_bases(recipe: Replication, names: list[str]) -> list[str]:
    """Datasets, those of pools, and all that losses of any of them are against."""
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
    """Refuse measures that are none, and losses in measures that the other side lacks.

    Raises:
        RecipeError: There is such a measure.
    """
    measured = {name: _canonical(recipe, name) for name in {**recipe.datasets, **recipe.pools}}
    for name, measures in measured.items():
        base = recipe.base_of(name)
        if base is not None and (lacking := sorted(measures - measured[base])):
            raise RecipeError(
                f"{recipe.name}: {name} shows its loss against {base}, which is not measured with "
                f"{lacking[0]}.",
                hint=f"Give both the same measures: {base} has {', '.join(sorted(measured[base]))}",
            )


def _canonical(recipe: Replication, shown: str) -> set[str]:
    """The measures of a dataset or of a pool's members, as evaluations name them."""
    names = [recipe.measures_of(member) for member in recipe.members_of(shown)]
    try:
        parsed = [{str(measure) for measure in parse_measures(each)} for each in names]
    except UsageError as error:
        raise RecipeError(f"{recipe.name}: {error.message}", hint=error.hint) from error
    return set.intersection(*parsed)


def check_bases(recipe: Replication, cells: set[tuple[str, str, str]]) -> None:
    """Refuse losses against what is not searched with the same model in the same way.

    Args:
        recipe: The table.
        cells: Model, dataset and search of all that is done.

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
                    f"{recipe.name}: {name} shows its loss against {base}, and {lacking[0]} is "
                    f"not searched with {model} by {search}.",
                    hint=f"Give {name} and {lacking[0]} the same lists, or choose others: "
                    "--datasets, --searches",
                )
