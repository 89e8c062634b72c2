"""Tables of lineage: every artifact once, by kind, with links to its parents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from hypencli.reporting.contents import Artifact, Environment, Lineage
from hypencli.reporting.tables import Cell, Column, Row, Table
from hypencli.reporting.text import MISSING, digits, whole

_TITLES = {
    "evaluation": "Evaluations",
    "run": "Runs",
    "calibration": "Calibrations",
    "graph": "Neighbour graphs",
    "embeddings": "Embedding sets",
    "model": "Models",
}
_SINGULAR = {kind: title.lower().removesuffix("s") for kind, title in _TITLES.items()}
_OTHER = "not described here"


@dataclass(frozen=True)
class LineageIndex:
    """Index of the positions of artifacts and recipes on the page.

    Attributes:
        lineage: Artifacts on the page.
    """

    lineage: Lineage

    @cached_property
    def anchors(self) -> dict[str, str]:
        """Id of an artifact -> id of its HTML element."""
        return {one.id: f"artifact-{i}" for i, one in enumerate(self.lineage.artifacts)}

    @cached_property
    def by_id(self) -> dict[str, Artifact]:
        """Id of an artifact -> the artifact."""
        return {one.id: one for one in self.lineage.artifacts}

    @cached_property
    def recipes(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Text of a recipe -> id of its HTML element, and the models trained with it."""
        trained: dict[str, list[str]] = {}
        for one in self.lineage.artifacts:
            if one.recipe is not None:
                trained.setdefault(one.recipe, []).append(one.label)
        return {
            recipe: (f"recipe-{i}", tuple(labels))
            for i, (recipe, labels) in enumerate(trained.items())
        }


def lineage_tables(index: LineageIndex) -> list[Table]:
    """Build one table per kind, with children before parents, and one of the environments."""
    tables = []
    for kind in _TITLES:
        some = [one for one in index.lineage.artifacts if one.kind == kind]
        if some:
            tables.append(_kind_table(kind, some, index))
    if index.lineage.environments:
        tables.append(_environment_table(index.lineage.environments))
    return tables


def _kind_table(kind: str, artifacts: Sequence[Artifact], index: LineageIndex) -> Table:
    """Build the table of one kind: parents, facts, environment and time of each artifact."""
    parents = [_parents(one, index) for one in artifacts]
    kinds = [
        kind_name
        for kind_name in (*_SINGULAR.values(), _OTHER)
        if any(kind_name in p for p in parents)
    ]
    facts = [dict(one.facts) for one in artifacts]
    names = [name for name in _names(facts) if any(one.get(name) is not None for one in facts)]
    has_device = any(one.device for one in artifacts)
    rows = [
        Row(
            (
                Cell(one.label, note=one.id if one.id != one.label else None),
                *(Cell(MISSING, links=tuple(made_from.get(kind_name, ()))) for kind_name in kinds),
                *_fact_cells(one, names, index),
                *([Cell(one.device or MISSING)] if has_device else []),
                _environment_cell(one.environment),
                Cell(one.created.strftime("%Y-%m-%d %H:%M")),
            ),
            index.anchors[one.id],
        )
        for one, made_from in zip(artifacts, parents, strict=True)
    ]
    columns = (
        Column(_SINGULAR[kind]),
        *(Column(kind_name) for kind_name in kinds),
        *(Column(name, numeric=_is_numeric(one.get(name) for one in facts)) for name in names),
        *([Column("device")] if has_device else []),
        *(Column(label) for label in ("environment", "made (UTC)")),
    )
    return Table(_TITLES[kind], columns, tuple(rows))


def _names(facts: Sequence[dict[str, str | int | float | None]]) -> list[str]:
    """Return the distinct names of facts in order."""
    return list(dict.fromkeys(name for one in facts for name in one))


def _parents(artifact: Artifact, index: LineageIndex) -> dict[str, list[tuple[str, str | None]]]:
    """Return the parents of an artifact: kind in words -> links."""
    links: dict[str, list[tuple[str, str | None]]] = {}
    for parent in artifact.parents:
        entry = index.by_id.get(parent)
        if entry is None:
            links.setdefault(_OTHER, []).append((parent, None))
        else:
            link = (entry.label, index.anchors[parent])
            links.setdefault(_SINGULAR[entry.kind], []).append(link)
    return links


def _is_numeric(values: Iterable[object]) -> bool:
    return all(isinstance(value, int | float | None) for value in values)


def _fact_cells(artifact: Artifact, names: Sequence[str], index: LineageIndex) -> Iterable[Cell]:
    """Yield the cells of an artifact's facts; the name of a recipe links to its text."""
    facts = dict(artifact.facts)
    for name in names:
        value = facts.get(name)
        target = None
        if name == "recipe" and artifact.recipe is not None:
            target, _ = index.recipes[artifact.recipe]
        if value is None or isinstance(value, str):
            yield Cell(value or MISSING, target=target)
        else:
            yield Cell(digits(value) if isinstance(value, float) else whole(value), value)


def _environment_cell(place: int) -> Cell:
    return Cell(f"E{place + 1}", target=f"environment-{place}")


def _environment_table(environments: Sequence[Environment]) -> Table:
    names = list(dict.fromkeys(name for one in environments for name, _ in one.facts))
    rows = []
    for place, environment in enumerate(environments):
        facts = dict(environment.facts)
        cells = [Cell(f"E{place + 1}"), *(Cell(facts.get(name, MISSING)) for name in names)]
        rows.append(Row(tuple(cells), f"environment-{place}"))
    columns = tuple(Column(label) for label in ("environment", *names))
    return Table("Environments", columns, tuple(rows))
