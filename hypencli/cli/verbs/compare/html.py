"""``hype report --html``: options of the page, and what is printed about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_shortened, escape, show, size
from hypencli.errors import UsageError
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.report.page import HtmlOptions, HtmlWritten
    from hypestore import Store

HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write one HTML page with everything, which needs no network.",
        show_default=False,
    ),
]


def html_options(
    output: Path,
    runs: tuple[str, ...],
    qrels: str | None,
    *,
    measures: tuple[str, ...],
    depth: int | None,
    overwrite: bool,
    keep_paths: bool,
) -> HtmlOptions:
    """Build the options of the page.

    Raises:
        UsageError: Runs are named, but not two.
    """
    from hypencli.ops.report.page import HtmlOptions

    if runs and len(runs) != 2:
        raise UsageError(
            f"{len(runs)} runs are named; --html takes two, or none to compare the best two of "
            "each leaderboard.",
            hint=f"hype report RUN_A RUN_B --html {escape_shell(output)}",
        )
    pair = (runs[0], runs[1]) if runs else None
    return HtmlOptions(output, pair, qrels, measures, depth, overwrite, keep_paths)


def write_page(store: Store, options: HtmlOptions, *, format: str, as_json: bool) -> None:
    """Write the page and print its path.

    Raises:
        UsageError: ``format`` is not the default.
    """
    from hypencli.ops.report.page import write_html_report

    if format != "table":
        raise UsageError(
            "--format and --html exclude each other: --format is for printed tables.",
            hint=f"hype report --html {escape_shell(options.output)}",
        )
    show(write_html_report(store, options, progress()), _draw_written, as_json=as_json)


def _draw_written(console: Console, done: HtmlWritten) -> None:
    console.print(f"Wrote {escape(done.path)} ({size(done.size_bytes)}).", soft_wrap=True)
    counts = {
        "leaderboards": done.leaderboards,
        "evaluated runs": done.runs,
        "timed searches": done.searches,
        "models with curves": done.models,
    }
    console.print("  " + ", ".join(f"{what}: {count:,}" for what, count in counts.items()))
    for label_a, label_b in done.pairs:
        console.print(f"  query by query: {escape(label_a)} against {escape(label_b)}")
    for remark in done.remarks:
        console.print(f"  {escape(remark)}", soft_wrap=True)
    draw_shortened(console, done.shortened)
    console.print(f"Open it in a browser: {done.path.absolute().as_uri()}", soft_wrap=True)
