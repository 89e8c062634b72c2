"""Tables and plots of the costs of searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from hypencli.cli.output.render import escape
from hypencli.cli.output.scatter import letter, scatter
from hypencli.cli.output.tables import print_table
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluation.costs import CostComparison
    from hypencli.reporting.contents import SearchCost

_LABEL_WIDTH, _PLOT_WIDTH = 12, 60
_SHORT = {"ms/query": "ms", "% of corpus": "%", "checked queries": "checked"}
_FRONTS = ("", "", "both")


def draw_costs(console: Console, comparisons: list[CostComparison], *, format: str) -> None:
    """Print a table for each corpus and query set; on a terminal, also plots and remarks."""
    if not comparisons:
        console.print("No search has been timed yet.")
        console.print("Next: hype search QUERIES, then hype search QUERIES --approx")
    for one in comparisons:
        title = f"{one.corpus} · {one.queries}"
        if format == "table":
            _draw_comparison(console, one, title)
        else:
            columns, rows = _table(one, whole=True)
            print_table(title, columns, rows, format=format)


def _draw_comparison(console: Console, comparison: CostComparison, title: str) -> None:
    columns, rows = _table(comparison, whole=False)
    lettered = [(letter(i), *row) for i, row in enumerate(rows)]
    documents = "" if comparison.n_documents is None else f", {comparison.n_documents:,} documents"
    print_table(f"{title}{documents}", ("", *columns), lettered)
    if not _all_exact(comparison):
        _draw_plot(console, comparison, "ms/query", lambda cost: cost.ms_per_query)
        _draw_plot(console, comparison, "evaluations/query", lambda cost: cost.evaluations)
    for line in _remarks(comparison):
        console.print(escape(line))


def _table(
    comparison: CostComparison, *, whole: bool
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Columns and rows: ``whole`` for programs, otherwise short and without empty columns."""
    depths = sorted(
        {depth for cost in comparison.costs for depth in cost.recall} | {comparison.depth}
    )
    cells: dict[str, Callable[[SearchCost], object]] = {
        "run": lambda cost: cost.name or cost.run,
        "engine": lambda cost: cost.engine,
        "model": lambda cost: cost.model,
        "ms/query": lambda cost: cost.ms_per_query,
        "encoding ms/query": lambda cost: cost.ms_query_encoding,
        "evaluations": lambda cost: cost.evaluations and round(cost.evaluations),
        "% of corpus": lambda cost: cost.evaluations_share and 100 * cost.evaluations_share,
        **{f"recall@{depth}": partial(_recall, depth=depth) for depth in depths},
        "checked queries": lambda cost: cost.checked_queries,
        f"front@{comparison.depth}": lambda cost: _FRONTS[len(cost.fronts)] or "".join(cost.fronts),
    }
    columns = {name: [cell(cost) for cost in comparison.costs] for name, cell in cells.items()}
    if not whole:
        columns = _for_people(columns)
    return tuple(columns), list(zip(*columns.values(), strict=True))


def _for_people(columns: Mapping[str, list[object]]) -> dict[str, list[object]]:
    """Drop columns that are empty, constant or told below the table; shorten names."""
    kept = {name: some for name, some in columns.items() if any(v is not None for v in some)}
    kept.pop("encoding ms/query", None)
    if len(set(kept.get("model", []))) == 1:
        kept.pop("model")
    depths = [name for name in kept if name.startswith("recall@")]
    short = {**_SHORT, **{name: name.removeprefix("recall") for name in depths[1:]}}
    short |= {name: "front" for name in kept if name.startswith("front@")}
    return {short.get(name, name): some for name, some in kept.items()}


def _recall(cost: SearchCost, depth: int) -> float | None:
    return cost.recall.get(depth)


def _draw_plot(
    console: Console,
    comparison: CostComparison,
    unit: str,
    cost_of: Callable[[SearchCost], float | None],
) -> None:
    """Plot recall (y) against a cost (x), if at least two runs have both."""
    points = []
    for i, cost in enumerate(comparison.costs):
        x, y = cost_of(cost), cost.recall.get(comparison.depth)
        if x is not None and y is not None:
            points.append((letter(i), x, y))
    if len(points) < 2:
        return
    console.print(f"\nrecall@{comparison.depth} against {unit}")
    width = max(20, min(_PLOT_WIDTH, console.width - _LABEL_WIDTH - 2))
    for line in scatter(points, width=width):
        console.print(line)


def _remarks(comparison: CostComparison) -> list[str]:
    """Lines below the table: how to read it, which recalls are missing and why."""
    said = ["", *_how_to_read(comparison), *_on_lacking(comparison)]
    if len(comparison.places) > 1:
        said.append(
            f"Times are from several machines and do not compare: {'; '.join(comparison.places)}"
        )
    if _all_exact(comparison):
        said.append("All of these searches are exact. Next: hype search QUERIES --approx")
    return said


def _how_to_read(comparison: CostComparison) -> list[str]:
    several = len({cost.searched for cost in comparison.costs}) > 1
    by, of = (
        (" by the same model", " of the same model, vectors and width") if several else ("", "")
    )
    return [
        f"recall: share of the exact ranking{by} in the results. ms: time of a query, without "
        f"encoding it{_encoding(comparison)}.",
        f"front: no other run{of} has this recall in less time, or with fewer evaluations.",
    ]


def _encoding(comparison: CostComparison) -> str:
    """The time that encoding a query takes, in brackets; empty if unknown."""
    times = [
        cost.ms_query_encoding for cost in comparison.costs if cost.ms_query_encoding is not None
    ]
    if not times:
        return ""
    least, most = f"{min(times):.3g}", f"{max(times):.3g}"
    return f" ({least} ms)" if least == most else f" ({least} to {most} ms)"


def _on_lacking(comparison: CostComparison) -> list[str]:
    """Which runs have no recall at the shown depth, why, and the command that measures it."""
    lacking = [cost for cost in comparison.costs if comparison.depth not in cost.recall]
    shallow = [cost for cost in lacking if cost.k is not None and cost.k < comparison.depth]
    unchecked = [cost for cost in lacking if cost not in shallow]
    said = []
    if shallow:
        said.append(f"No recall@{comparison.depth} of {_named(shallow)}: fewer results than that.")
    if unchecked:
        k = max(cost.k or comparison.depth for cost in unchecked)
        said.append(
            f"No recall@{comparison.depth} of {_named(unchecked)}: not checked, and the store "
            "has no exact run of the same search. "
            f"Next: hype search QUERIES --model {escape_shell(unchecked[0].model)} --k {k}"
        )
    return said


def _named(costs: Sequence[SearchCost]) -> str:
    return ", ".join(cost.name or cost.run for cost in costs)


def _all_exact(comparison: CostComparison) -> bool:
    return all(cost.engine == "exact" for cost in comparison.costs)
