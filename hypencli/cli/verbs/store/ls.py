"""``hype ls``: list the artifacts of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, StoreOption, open_store
from hypencli.cli.output.render import show, size
from hypencli.cli.output.tables import print_table
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.project import Listed


def ls(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="Only this kind: models, embeddings, graphs, calibrations, runs or evaluations.",
            show_default="all",
        ),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """List the artifacts of the store.

    The oldest comes first. Unfinished work comes last.

    Examples:
        hype ls

        hype ls runs --json
    """
    from hypencli.ops.project import listing
    from hypestore import KINDS

    wanted_kind = None
    if kind is not None:
        wanted_kind = next(
            (kind_name for kind_name in KINDS if kind in (kind_name, f"{kind_name}s")), None
        )
        if wanted_kind is None:
            raise UsageError(
                f"Unknown kind of artifact: {kind!r}.", hint=f"Kinds: {', '.join(KINDS)}."
            )
    opened = open_store(store)

    def draw(console: Console, artifacts: list[Listed]) -> None:
        if not artifacts:
            console.print(f"The store {opened.root} is empty.")
            return
        columns = ("kind", "name", "id", "created", "what", "size")
        rows = [
            (one.kind, one.name or "", one.id, one.created, one.about, size(one.size_bytes))
            for one in artifacts
        ]
        print_table("", columns, rows)

    show(listing(opened, wanted_kind), draw, as_json=json)
