"""``hype recipes``: what can be trained, and what each field means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption
from hypencli.cli.render import show
from hypencli.cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.recipe import FieldDescription, RecipeSummary

recipes = typer.Typer(help="List the shipped recipes, or show one with the meaning of each field.")


@recipes.callback(invoke_without_command=True)
def list_(context: typer.Context, json: JsonOption = False) -> None:
    """List the shipped recipes, or show one with the meaning of each field.

    Examples:
        hype recipes

        hype recipes show demo
    """
    if context.invoked_subcommand is not None:
        return
    from hypencli.recipe import list_recipes

    def draw(console: Console, found: list[RecipeSummary]) -> None:
        print_table("", ("recipe", "what"), [(one.name, one.description) for one in found])
        console.print("Next: hype recipes show NAME, or hype train NAME")

    show(list_recipes(), draw, as_json=json)


@recipes.command("show")
def show_recipe(
    recipe: Annotated[
        str, typer.Argument(help="A shipped recipe by name, or a TOML file.", show_default=False)
    ],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: training.steps=100.", show_default=False),
    ] = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print it as TOML, to start a recipe of your own.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show a resolved recipe: every field, its value, and what it means.

    Examples:
        hype recipes show demo

        hype recipes show demo --toml > mine.toml
    """
    from hypencli.recipe import describe, load_recipe, to_toml

    resolved = load_recipe(recipe, override or ())
    if toml and not json:
        typer.echo(to_toml(resolved), nl=False)
        return

    def draw(console: Console, fields: list[FieldDescription]) -> None:
        rows = [
            (("* " if one.changed else "  ") + one.key, _value(one.value), one.meaning)
            for one in fields
        ]
        print_table(resolved.name, ("field", "value", "meaning"), rows)
        console.print("* differs from the default. Change one value: --set KEY=VALUE")

    show(describe(resolved), draw, as_json=json)


def _value(value: object) -> str:
    return "" if value is None else str(value)


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.add_typer(recipes, name="recipes")
