"""``hype engines``: the ways to search, and the options of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption
from hypencli.cli.output.render import escape, show
from hypencli.cli.output.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.option_fields import OptionDescription


@dataclass(frozen=True, slots=True)
class DescribedEngine:
    """An engine, for people.

    Attributes:
        name: What it is called.
        summary: What it does.
        queries: What it searches with: q-nets, vectors, or any.
        needs: What it needs of the store: graph, index, run.
        approximate: Whether it can miss documents.
        calibrated: Whether ``hype calibrate`` measures it.
        presets: Names for ``-o preset=NAME``.
        options: Its options.
    """

    name: str
    summary: str
    queries: str
    needs: tuple[str, ...]
    approximate: bool
    calibrated: bool
    presets: tuple[str, ...]
    options: list[OptionDescription]


@dataclass(frozen=True, slots=True)
class DescribedEngines:
    """Engines, shipped ones first."""

    engines: list[DescribedEngine]


def engines(
    name: Annotated[
        str | None, typer.Argument(help="One engine.", show_default="all of them")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the ways to search, with the options of each.

    `hype search --engine NAME -o OPTION=VALUE` sets an option.

    Examples:
        hype engines

        hype engines graph
    """
    from hypencli.engine.registry.lookup import engine_names

    names = engine_names() if name is None else [name]
    draw = _draw_list if name is None else _draw_options
    show(DescribedEngines([_described(each) for each in names]), draw, as_json=json)


def _described(name: str) -> DescribedEngine:
    from hypencli.engine.registry.lookup import engine_entry

    entry = engine_entry(name)
    return DescribedEngine(
        name=entry.name,
        summary=entry.summary,
        queries=entry.queries,
        needs=entry.needs,
        approximate=entry.approximate,
        calibrated=bool(entry.settings),
        presets=tuple(entry.presets),
        options=entry.describe(),
    )


def _draw_list(console: Console, done: DescribedEngines) -> None:
    print_table(
        "Engines",
        ("engine", "what it does", "queries", "needs", "options"),
        [
            (
                escape(one.name),
                escape(one.summary),
                one.queries,
                ", ".join(one.needs) or "–",
                escape(", ".join(option.name for option in one.options)),
            )
            for one in done.engines
        ],
    )
    console.print("Next: hype engines NAME, for bounds and defaults.")


def _draw_options(console: Console, done: DescribedEngines) -> None:
    for one in done.engines:
        console.print(f"{escape(one.name)}: {escape(one.summary)}.")
        kind = "q-nets and query vectors" if one.queries == "any" else one.queries
        needs = f", needs a {' and a '.join(one.needs)}" if one.needs else ""
        console.print(f"Searches with {kind}{needs}.")
        if one.presets:
            console.print(f"Presets (-o preset=NAME): {', '.join(map(escape, one.presets))}.")
        if one.options:
            print_table(
                "Options (-o NAME=VALUE)",
                ("name", "value", "default", "what it does"),
                [
                    (escape(option.name), option.value, _default(option), escape(option.help))
                    for option in one.options
                ],
            )


def _default(option: OptionDescription) -> str:
    if option.required:
        return "must be set"
    return "–" if option.default is None else escape(str(option.default))


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(engines)
