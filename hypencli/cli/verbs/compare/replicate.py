"""``hype replicate``: recompute a table of the paper and compare the figures."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    DeviceOption,
    FormatOption,
    JsonOption,
    SetOption,
    StoreOption,
    TrustOption,
    default_device,
    open_store,
    split_names,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, seconds, show, size
from hypencli.cli.output.tables import print_pairs, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.replicate.run import Replicated
    from hypencli.ops.replicate.selection import LeftOut
    from hypencli.ops.replicate.survey import ReplicationStatus, StepStatus
    from hypencli.ops.replicate.table import Figure
    from hypencli.recipe.replication import ReplicationSummary


def replicate(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A shipped table by name, or a TOML file. Without it, the shipped tables are "
            "listed.",
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(help="Only these models, separated by commas.", show_default=False),
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option(help="Only these datasets or pools, separated by commas.", show_default=False),
    ] = None,
    searches: Annotated[
        str | None,
        typer.Option(help="Only these searches, separated by commas.", show_default=False),
    ] = None,
    override: SetOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List the steps with their time and disk space; do nothing."
        ),
    ] = False,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going", help="After a failed step, continue with the steps that do not need it."
        ),
    ] = False,
    references: Annotated[
        bool,
        typer.Option("--references", help="Also list the paper's figures of other models."),
    ] = False,
    format: FormatOption = "table",
    device: DeviceOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Recompute a table of the paper and compare the figures.

    The command encodes, searches and evaluates what the store does not hold yet. Running it again
    does only what is missing, also after Ctrl-C or a kill.

    Examples:
        hype replicate

        hype replicate in-domain --dry-run

        hype replicate out-of-domain --models hypencoder --datasets nfcorpus,fiqa

        hype replicate in-domain --set models.hypencoder.source=mine --keep-going
    """
    from hypencli.recipe.replication import list_replications, load_replication

    if recipe is None:
        show(list_replications(), _draw_list, as_json=json)
        return
    loaded = load_replication(recipe, override or ())
    from hypencli.ops.replicate.selection import TableSelection

    opened = open_store(store)
    on = default_device(device, opened)
    selection = TableSelection(split_names(models), split_names(datasets), split_names(searches))
    if dry_run:
        from hypencli.ops.replicate.survey import replication_status

        show(replication_status(opened, loaded, selection, device=on), _draw_survey, as_json=json)
        return
    from hypencli.ops.replicate.run import ReplicateOptions
    from hypencli.ops.replicate.run import replicate as run

    options = ReplicateOptions(
        selection,
        keep_going=keep_going,
        references=references,
        device=on,
        trust_code=trust_code,
    )
    done = run(opened, loaded, options, progress())
    printed = "json" if json else format
    show(done, partial(_draw_replicated, format=printed), as_json=printed == "json")
    if done.failures:
        raise typer.Exit(done.failures[0].exit_code)


def _draw_list(console: Console, replications: list[ReplicationSummary]) -> None:
    width = max(len(one.name) for one in replications)
    print_pairs([(one.name, one.description) for one in replications], width=width)
    console.print("\nNext: hype replicate NAME --dry-run")


def _draw_survey(console: Console, status: ReplicationStatus) -> None:
    console.print(f"{escape(status.recipe)}: {escape(status.description)}")
    rows = [(one.state, one.step, *_costs(one)) for one in status.steps]
    print_table("", ("state", "step", "time", "disk"), rows)
    for one in status.steps:
        if one.note is not None and one.state != "waiting":
            console.print(f"{escape(one.step)}: {escape(one.note)}", soft_wrap=True)
    _draw_left_out(console, status.left_out)
    counts = Counter(one.state for one in status.steps)
    done, to_do = counts.pop("done", 0), counts.pop("to do", 0)
    blocked = "".join(f", {number} {state}" for state, number in counts.items())
    console.print(f"{done} of {len(status.steps)} steps are done, {to_do} to do{blocked}.")
    if to_do:
        console.print(
            f"To do: about {seconds(status.seconds)}{_unknown(status.unknown)}; "
            f"about {size(status.bytes)} of disk{_unknown(status.unknown_disk)}."
        )
    if status.bases:
        console.print("Estimates use these rates and ignore the length of the texts:")
    for basis in status.bases:
        console.print(f"  {escape(basis)}", soft_wrap=True)
    console.print("Disk: vectors, neighbours and runs; the documents' text is not counted.")


def _draw_left_out(console: Console, left_out: tuple[LeftOut, ...]) -> None:
    for one in left_out:
        text = f"Left out: {', '.join(one.datasets)}: {one.reason}"
        console.print(escape(text), soft_wrap=True)


def _unknown(steps: tuple[str, ...]) -> str:
    """How many steps an estimate leaves out."""
    if not steps:
        return ""
    return f" (without {len(steps)} step{'s' if len(steps) > 1 else ''} of unknown cost)"


def _costs(one: StepStatus) -> tuple[str, str]:
    """Time and disk space of a step; empty if it is done or blocked."""
    if one.state != "to do":
        return "", ""
    time, disk = one.estimate.seconds, one.estimate.bytes
    return (
        "unknown" if time is None else seconds(time) if time else "",
        "unknown" if disk is None else size(disk) if disk else "",
    )


def _draw_replicated(console: Console, done: Replicated, *, format: str = "table") -> None:
    signed = format == "table"
    rows = [
        (
            one.dataset,
            _measure(one),
            one.search,
            one.model,
            one.value,
            one.published,
            _signed(one.difference) if signed else one.difference,
            one.agreement or "",
        )
        for one in done.figures
    ]
    columns = ("dataset", "measure", "search", "model", "here", "paper", "difference", "agreement")
    print_table(f"{done.recipe}: {done.description}", columns, rows, format=format)
    if format != "table":
        return
    if done.published is not None:
        console.print(
            f"paper: {escape(done.published)}. same: equal as printed; near: at most "
            f"{done.tolerance:g} apart; differs: more.",
            soft_wrap=True,
        )
    console.print(
        f"{done.steps} steps: {done.made} done now, {done.existing} before, "
        f"{len(done.failures)} failed ({seconds(done.seconds)})."
    )
    _draw_left_out(console, done.left_out)
    for failure in done.failures:
        console.print(f"Failed: {escape(failure.step)}: {escape(failure.message)}", soft_wrap=True)
        if failure.hint:
            console.print(f"  {escape(failure.hint)}", soft_wrap=True)
        for step in failure.waiting:
            console.print(f"  not done without it: {escape(step)}", soft_wrap=True)


def _measure(figure: Figure) -> str:
    return figure.measure if figure.base is None else f"loss of {figure.measure} (%)"


def _signed(difference: float | None) -> str:
    return "–" if difference is None else f"{difference or 0.0:+.4f}"
