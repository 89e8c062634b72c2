"""What is said of a name that was not given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypencli.cli.render import safe

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.names import NameNotGiven


def draw_name_not_given(console: Console, name: NameNotGiven | None, called: str) -> None:
    """Say so, what to use instead, and what to run to have it under the other name.

    Args:
        console: Where to.
        name: The name that was asked for; None where it was given, or none was asked for.
        called: What the artifact goes by: its name, or its id.
    """
    if name is None:
        return
    asked, kept = safe(name.asked), safe(called)
    console.print(f"Not named {asked}: it was made before and stays {kept}, so use {kept}.")
    if name.taken_by is not None:
        console.print(f"The name {asked} is that of another: {name.taken_by}.")
        return
    needed = " --force" if name.needed_by else ""
    console.print(f"To have it as {asked}: hype rm {kept}{needed}, then the same command again.")
    if name.needed_by:
        console.print("That removes what was made from it, too.")
