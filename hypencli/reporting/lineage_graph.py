"""Lineage as a graph: artifacts in columns by kind, with lines from parents to children."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypencli.reporting.contents import Artifact, Lineage
from hypencli.reporting.text import shortened

MAX_NODES = 80
"""Maximum number of artifacts in a drawing. The tables have all of them."""

_COLUMNS = (("model",), ("embeddings",), ("graph", "calibration"), ("run",), ("evaluation",))
"""Kinds of each column, from parents to children."""

_TITLES = ("models", "embedding sets", "graphs, calibrations", "runs", "evaluations")
_NODE_WIDTH, _NODE_HEIGHT = 148.0, 26.0
_GAP_ACROSS, _GAP_DOWN, _TOP = 44.0, 10.0, 26.0
_LABEL_CHARACTERS = 21
_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Node:
    """An artifact in the drawing; ``x`` and ``y`` are its left upper corner."""

    id: str
    kind: str
    label: str
    title: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Graph:
    """A drawing.

    Attributes:
        columns: Position and title of each column.
        nodes: The artifacts, column by column.
        lines: Paths from parents to children.
        description: Description in words.
    """

    width: float
    height: float
    node_width: float
    node_height: float
    columns: tuple[tuple[float, str], ...]
    nodes: tuple[Node, ...]
    lines: tuple[str, ...]
    description: str


def lineage_graph(lineage: Lineage) -> Graph | None:
    """Draw the lineage; None if fewer than two artifacts, or too many, would be drawn.

    Artifacts of a column are ordered by the mean position of their neighbours, in a few sweeps
    (Sugiyama et al., 1981), which leaves few crossings.
    """
    artifacts = {one.id: one for one in lineage.artifacts}
    if not 2 <= len(artifacts) <= MAX_NODES:
        return None
    parts = [
        (title, [one for one in artifacts.values() if one.kind in kinds])
        for kinds, title in zip(_COLUMNS, _TITLES, strict=True)
    ]
    parts = [(title, column) for title, column in parts if column]
    columns = _ordered([column for _, column in parts], _neighbours(artifacts))
    nodes = _placed(columns)
    width = len(columns) * (_NODE_WIDTH + _GAP_ACROSS) - _GAP_ACROSS
    height = max(node.y for node in nodes.values()) + _NODE_HEIGHT + 2
    counts = ", ".join(f"{len(column):,} {title}" for title, column in parts)
    return Graph(
        width=width,
        height=height,
        node_width=_NODE_WIDTH,
        node_height=_NODE_HEIGHT,
        columns=tuple(
            (place * (_NODE_WIDTH + _GAP_ACROSS), title) for place, (title, _) in enumerate(parts)
        ),
        nodes=tuple(nodes.values()),
        lines=tuple(
            _line(nodes[parent], nodes[one.id])
            for one in artifacts.values()
            for parent in _nearest(one, artifacts)
        ),
        description=f"What was made from what: {counts}. The tables below have the same links.",
    )


def _nearest(one: Artifact, artifacts: Mapping[str, Artifact]) -> list[str]:
    """Return the parents that are no ancestors of another parent: the others follow from these."""
    parents = [parent for parent in one.parents if parent in artifacts]
    implied: set[str] = set()
    queue = [*parents]
    while queue:
        above = [other for other in artifacts[queue.pop()].parents if other in artifacts]
        queue.extend(other for other in above if other not in implied)
        implied.update(above)
    return [parent for parent in parents if parent not in implied]


def _neighbours(artifacts: Mapping[str, Artifact]) -> dict[str, set[str]]:
    """Id -> ids of the parents and children that are drawn."""
    neighbours: dict[str, set[str]] = {one: set() for one in artifacts}
    for one in artifacts.values():
        for parent in _nearest(one, artifacts):
            neighbours[one.id].add(parent)
            neighbours[parent].add(one.id)
    return neighbours


def _ordered(
    columns: list[list[Artifact]], neighbours: Mapping[str, set[str]]
) -> list[list[Artifact]]:
    """Order each column by the mean position of the neighbours in other columns."""
    for sweep in range(_SWEEPS):
        places = {
            one.id: i / max(1, len(column) - 1)
            for column in columns
            for i, one in enumerate(column)
        }

        def mean(one: Artifact, places: Mapping[str, float] = places) -> float:
            near = [places[other] for other in sorted(neighbours[one.id])]
            return sum(near) / len(near) if near else places[one.id]

        order = columns if sweep % 2 == 0 else columns[::-1]
        for column in order:
            column.sort(key=mean)
            for i, one in enumerate(column):
                places[one.id] = i / max(1, len(column) - 1)
    return columns


def _placed(columns: Sequence[Sequence[Artifact]]) -> dict[str, Node]:
    """Place the columns from left to right, each centred on the tallest one."""
    tallest = max(map(len, columns))
    nodes = {}
    for across, column in enumerate(columns):
        start = _TOP + (tallest - len(column)) * (_NODE_HEIGHT + _GAP_DOWN) / 2
        for down, one in enumerate(column):
            nodes[one.id] = Node(
                id=one.id,
                kind=one.kind,
                label=_label(one.label),
                title=f"{one.kind} {one.label}",
                x=across * (_NODE_WIDTH + _GAP_ACROSS),
                y=round(start + down * (_NODE_HEIGHT + _GAP_DOWN), 1),
            )
    return nodes


def _label(text: str) -> str:
    """Cut a label to the width of a node: its beginning and its end tell artifacts apart."""
    flat = shortened(text, 200)
    if len(flat) <= _LABEL_CHARACTERS:
        return flat
    return f"{flat[: _LABEL_CHARACTERS - 9]}…{flat[-8:]}"


def _line(parent: Node, child: Node) -> str:
    """Return a curve from the right side of the parent to the left side of the child."""
    x, y = parent.x + _NODE_WIDTH, parent.y + _NODE_HEIGHT / 2
    to_x, to_y = child.x, child.y + _NODE_HEIGHT / 2
    bend = max(_GAP_ACROSS / 2, (to_x - x) / 2)
    return f"M{x} {y}C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"
