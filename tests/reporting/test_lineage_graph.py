"""The drawing of a lineage: columns, places, and lines that follow from no others."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from hypencli.reporting.contents import Artifact, Lineage
from hypencli.reporting.lineage_graph import MAX_NODES, lineage_graph

PARENTS = {
    "model-1": (),
    "model-2": (),
    "set-1": ("model-1",),
    "set-2": ("model-2", "gone"),
    "graph-1": ("set-1",),
    "run-1": ("model-1", "set-1"),
    "run-2": ("model-1", "set-1", "graph-1"),
    "run-3": ("model-2", "set-2"),
    "evaluation-1": ("run-1",),
    "evaluation-3": ("run-3",),
}
KINDS = {"set": "embeddings"}


def lineage(parents: dict[str, tuple[str, ...]]) -> Lineage:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return Lineage(
        tuple(
            Artifact(
                kind=KINDS.get(kind := one.partition("-")[0], kind),
                id=one,
                label=one,
                created=made,
                facts=(),
                parents=above,
                environment=0,
                device=None,
            )
            for one, above in parents.items()
        )
    )


def ancestors(one: str) -> set[str]:
    known = [parent for parent in PARENTS[one] if parent in PARENTS]
    return set(known).union(*(ancestors(parent) for parent in known))


def test_a_line_leads_from_each_parent_that_no_other_parent_came_from() -> None:
    graph = lineage_graph(lineage(PARENTS))
    assert graph is not None
    half = graph.node_height / 2
    by_right = {(one.x + graph.node_width, one.y + half): one for one in graph.nodes}
    by_left = {(one.x, one.y + half): one for one in graph.nodes}
    drawn = set()
    for line in graph.lines:
        start, _, end = line[1:].partition("C")
        x, y = map(float, start.split())
        to = tuple(map(float, end.split()[-2:]))
        drawn.add((by_right[x, y].id, by_left[to].id))
    expected = set()
    for one, above in PARENTS.items():
        known = [parent for parent in above if parent in PARENTS]
        implied = set().union(*(ancestors(parent) for parent in known))
        expected |= {(parent, one) for parent in known if parent not in implied}
    assert drawn == expected


def test_nodes_stand_in_columns_and_do_not_overlap() -> None:
    graph = lineage_graph(lineage(PARENTS))
    assert graph is not None
    assert {one.id for one in graph.nodes} == set(PARENTS)
    places = {one.id: (one.x, one.y) for one in graph.nodes}
    assert len(set(places.values())) == len(places)
    for one, above in PARENTS.items():
        assert all(places[parent][0] < places[one][0] for parent in above if parent in places)
    for x in {x for x, _ in places.values()}:
        down = sorted(y for other, y in places.values() if other == x)
        assert all(b - a > graph.node_height for a, b in itertools.pairwise(down))
    assert all(0 <= x <= graph.width - graph.node_width for x, _ in places.values())
    assert all(y + graph.node_height <= graph.height for _, y in places.values())


def test_too_many_artifacts_are_not_drawn() -> None:
    many = {f"run-{i}": () for i in range(MAX_NODES + 1)}
    assert lineage_graph(lineage(many)) is None
    assert lineage_graph(lineage({"run-1": ()})) is None
