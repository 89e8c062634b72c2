"""``hype fuse``: fuse several runs into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    JsonOption,
    NameOption,
    RankingDepthOption,
    RunMeasuresOption,
    StoreOption,
    open_store,
    split_names,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_name_not_given, escape, show
from hypencli.cli.verbs.compare.eval import draw_evaluated
from hypencli.errors import UsageError
from hypencli.escaping import escape_shell
from hypencli.evaluation.fusion import FusionMethod, Normalisation

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.search.fuse import Fused


def fuse(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            help="Two runs or more: names, ids, or beginnings of ids.",
            show_default=False,
        ),
    ],
    method: Annotated[
        FusionMethod,
        typer.Option(
            help="rrf: sum of reciprocal ranks. combsum: sum of scores. interpolate: weighted sum "
            "of scores."
        ),
    ] = "rrf",
    k: RankingDepthOption = 1000,
    rrf_k: Annotated[
        int, typer.Option(min=0, help="With rrf: a document adds 1 / (K + its rank).", metavar="K")
    ] = 60,
    weights: Annotated[
        str | None,
        typer.Option(
            help="With interpolate: a weight for each run, in order.", show_default="equal weights"
        ),
    ] = None,
    normalise: Annotated[
        Normalisation,
        typer.Option(
            help="With combsum and interpolate: scale the scores of each query to 0 to 1, or not."
        ),
    ] = "min-max",
    name: NameOption = None,
    qrels: Annotated[
        str | None,
        typer.Option(help="Judgements to evaluate with.", show_default="those that all runs share"),
    ] = None,
    measures: RunMeasuresOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Fuse runs of the same queries into one.

    If judgements of the queries are known, the new run is evaluated with them.

    Examples:
        hype fuse bm25 hypencoder

        hype fuse bm25 hypencoder --method interpolate --weights "0.3 0.7" --name mixed
    """
    from hypencli.evaluation.fusion import Fusion
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.search.fuse import fuse as run

    how = Fusion(method, k, rrf_k, _numbers(weights), normalise)
    opened = open_store(store)
    done = run(
        opened,
        tuple(runs),
        how,
        name=name,
        qrels=dataset_place(opened.root, qrels),
        measures=split_names(measures) or None,
        progress=progress(),
    )
    show(done, _draw_fused, as_json=json)


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in split_names(text))
    except ValueError as error:
        raise UsageError(
            f"--weights {text} is not a list of numbers.", hint='Example: --weights "0.3 0.7"'
        ) from error


def _draw_fused(console: Console, done: Fused) -> None:
    verb = "Had fused" if done.existing else "Fused"
    console.print(
        f"{verb} {escape(' and '.join(done.runs))} ({done.method}, k={done.k}): "
        f"{done.n_results:,} results for {done.n_queries:,} queries."
    )
    if done.partial_queries:
        console.print(f"{done.partial_queries} queries have no results in one of the runs.")
    console.print(f"Run: {escape(done.name or done.run)}" + (f" ({done.run})" if done.name else ""))
    draw_name_not_given(console, done.name_not_given, done.name or done.run)
    if done.evaluation is not None:
        draw_evaluated(console, done.evaluation)
    else:
        console.print(f"Next: hype eval {escape_shell(done.name or done.run)} --qrels FILE")
