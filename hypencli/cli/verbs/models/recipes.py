"""``hype recipes``: the shipped recipes, and the meaning of each field."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from hypencli.cli.options import JsonOption, SetOption
from hypencli.cli.output.render import show
from hypencli.cli.output.tables import print_pairs
from hypencli.escaping import escape_json_strings

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.recipe import FieldDescription, RecipeSummary

_INDENT = 2
_WIDEST_ASSIGNMENT = 40


class RecipeCommands(typer.core.TyperGroup):
    """Commands about recipes; ``hype recipes NAME`` is ``hype recipes show NAME``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a word that is no command is the name of a recipe to show."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


recipes = typer.Typer(
    cls=RecipeCommands,
    subcommand_metavar="[NAME]",
    help="List the shipped recipes, or explain one.",
)


@recipes.callback(invoke_without_command=True)
def list_(context: typer.Context, json: JsonOption = False) -> None:
    """List the shipped recipes, or show one with the meaning of each field.

    Examples:
        hype recipes

        hype recipes demo
    """
    if context.invoked_subcommand is not None:
        return
    from hypencli.recipe import list_recipes

    show(list_recipes(), _draw_list, as_json=json)


@recipes.command("show")
def show_recipe(
    recipe: Annotated[
        str, typer.Argument(help="A shipped recipe by name, or a TOML file.", show_default=False)
    ],
    override: SetOption = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print TOML, as a start for your own recipe.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show a resolved recipe: every field with its value and meaning.

    Examples:
        hype recipes demo

        hype recipes show demo --toml > mine.toml
    """
    from hypencli.recipe import describe, load_recipe, to_toml

    resolved = load_recipe(recipe, override or ())
    if toml and not json:
        typer.echo(escape_json_strings(to_toml(resolved)), nl=False)
        return

    show(describe(resolved), _draw_fields, as_json=json)


def _draw_list(console: Console, recipes: list[RecipeSummary]) -> None:
    width = max(len(one.name) for one in recipes) + _INDENT
    for group, members in groupby(recipes, key=lambda one: one.group):
        console.print((group or "more").capitalize())
        print_pairs([(f"  {one.name}", one.description) for one in members], width=width)
    console.print("\nNext: hype recipes NAME, or hype train NAME")


def _draw_fields(console: Console, fields: list[FieldDescription]) -> None:
    """Print the fields section by section: TOML on the left, meanings on the right."""
    left = [_assignment(one) for one in fields]
    width = min(_WIDEST_ASSIGNMENT, max(map(len, left)))
    pairs = zip(left, fields, strict=True)
    for section, members in groupby(pairs, key=lambda pair: pair[1].key.rpartition(".")[0]):
        console.print(f"\n{_heading(section)}" if section else "")
        print_pairs([(text, field.meaning) for text, field in members], width=width)
    console.print("\n* differs from the default. Change one value: --set SECTION.FIELD=VALUE")


def _heading(section: str) -> str:
    """The TOML heading of a section; an array element also shows its key for ``--set``."""
    name, _, index = section.rpartition(".")
    return f"[[{name}]]  {section}" if index.isdigit() else f"[{section}]"


def _assignment(field: FieldDescription) -> str:
    from hypencli.recipe import toml_value

    name = field.key.rpartition(".")[2]
    value = "none" if field.value is None else toml_value(field.value)
    return f"{'*' if field.changed else ' '} {name} = {value}"
