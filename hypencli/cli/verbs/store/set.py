"""``hype set``: set a default of the store, or show the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, StoreOption, open_store
from hypencli.cli.output.render import show
from hypencli.cli.output.tables import print_table
from hypencli.errors import UsageError
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console


def set_(
    key: Annotated[
        str | None,
        typer.Argument(help="model, corpus, queries or device.", show_default="show what is set"),
    ] = None,
    value: Annotated[
        str | None,
        typer.Argument(
            help="A model of the store; an encoded corpus; a query set, as `hype search` takes it; "
            "a device.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Set what commands use where they are not told otherwise.

    The defaults stand in hype.toml of the store. To unset one, delete its line there.

    Examples:
        hype set model my-hypencoder

        hype set queries dev.jsonl

        hype set
    """
    if (key is None) != (value is None):
        raise UsageError(
            f"{key} needs a value.", hint=f"hype set {escape_shell(key)} VALUE, or hype set"
        )
    from hypencli.ops.defaults import set_default, shown_defaults

    opened = open_store(store)
    if key is not None and value is not None:
        set_default(opened, key, value)

    def draw(console: Console, defaults: Mapping[str, str]) -> None:
        if not defaults:
            console.print("No default is set. To set one: hype set KEY VALUE")
            return
        print_table("", ("default", "value"), list(defaults.items()))

    show(shown_defaults(opened), draw, as_json=json)
