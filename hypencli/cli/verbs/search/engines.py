"""``hype engines``: the search engines and their options."""

from __future__ import annotations

from collections.abc import Mapping
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
    """An engine as ``hype engines`` describes it.

    Attributes:
        name: The value for ``--engine``.
        summary: What the engine does.
        queries: The queries it takes: q-nets, vectors, or any.
        needs: Artifacts it needs from the store: graph, index, run.
        approximate: Whether it can miss documents.
        calibrated: Whether ``hype calibrate`` can measure it.
        presets: Names for ``-o preset=NAME``.
        options: Options for ``-o NAME=VALUE``.
    """

    name: str
    summary: str
    queries: str
    needs: tuple[str, ...]
    approximate: bool
    calibrated: bool
    presets: tuple[str, ...]
    options: list[OptionDescription]


def engines(
    name: Annotated[
        str | None, typer.Argument(help="The engine to describe.", show_default="all engines")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the search engines with their options.

    `hype search --engine NAME -o OPTION=VALUE` searches with an engine and sets an option.

    Examples:
        hype engines

        hype engines graph
    """
    from hypencli.engine.registry.lookup import engine_names

    names = engine_names() if name is None else [name]
    draw = _draw_list if name is None else _draw_options
    show({"engines": [_described(each) for each in names]}, draw, as_json=json)


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


def _draw_list(console: Console, done: Mapping[str, list[DescribedEngine]]) -> None:
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
            for one in done["engines"]
        ],
    )
    console.print("Next: hype engines NAME")


def _draw_options(console: Console, done: Mapping[str, list[DescribedEngine]]) -> None:
    for one in done["engines"]:
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
