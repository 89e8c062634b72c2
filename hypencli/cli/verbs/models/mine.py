"""``hype mine``: hard negatives for training, from a run of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import (
    JsonOption,
    OverwriteOption,
    ReferenceArgument,
    RowsOutputOption,
    SplitOption,
    StoreOption,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, show
from hypencli.errors import UsageError
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.datasets.mine import Mined


def mine(
    run: ReferenceArgument,
    output: RowsOutputOption,
    qrels: Annotated[
        str | None,
        typer.Option(
            help="Judgements: a file, an ir_datasets id, or a dataset of `hype data prepare`.",
            show_default="the queries' own",
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            help="Add negatives to the rows of this training file, matched by query id. Without "
            "it, rows are built from judgements.",
            show_default=False,
        ),
    ] = None,
    split: SplitOption = "train",
    min_grade: Annotated[int, typer.Option(help="The lowest grade of a positive.")] = 1,
    from_rank: Annotated[int, typer.Option(min=1, help="The first rank of a negative.")] = 1,
    to_rank: Annotated[int, typer.Option(min=1, help="The last rank of a negative.")] = 200,
    negatives: Annotated[int, typer.Option(min=1, help="Negatives for each row.")] = 30,
    sample: Annotated[
        Literal["top", "random"],
        typer.Option(help="Which documents between these ranks: the top ones, or random ones."),
    ] = "top",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random choice.")] = 42,
    max_score_ratio: Annotated[
        float | None,
        typer.Option(
            help="Leave out negatives that score above this share of the positive's score, such as "
            "0.95.",
            show_default=False,
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="The dataset to read texts from.", show_default="the run's embedding set"
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Make training rows with hard negatives.

    Hard negatives are documents that a run ranks high and that are not judged relevant. A row
    holds a query, one positive, and negatives by rank. A document with the text of the positive,
    or of another negative, is left out.

    Examples:
        hype mine my-run --qrels qrels.train.txt --output train.jsonl

        hype mine my-run --rows train.jsonl --max-score-ratio 0.95 --output harder.jsonl

        hype mine my-run --from-rank 10 --sample random --negatives 7 --output train.parquet
    """
    from hypencli.data.corpus import open_corpus
    from hypencli.data.training import open_training_rows
    from hypencli.data.training.negatives import MiningRule
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.datasets.mine import MineOptions
    from hypencli.ops.datasets.mine import mine as run_mine

    if rows is not None and min_grade != 1 and qrels is None:
        raise UsageError("--min-grade is for --qrels.")
    rule = MiningRule(from_rank, to_rank, negatives, sample, seed, max_score_ratio)
    opened = open_store(store)
    options = MineOptions(
        output=output,
        rule=rule,
        qrels=dataset_place(opened.root, qrels),
        min_grade=min_grade,
        corpus=None if corpus is None else open_corpus(dataset_place(opened.root, corpus)),
        overwrite=overwrite,
    )
    place = dataset_place(opened.root, rows)
    source = None if place is None else open_training_rows(place, split=split)
    done = run_mine(opened, run, options, rows=source, progress=progress())
    show(done, _draw_mined, as_json=json)


def _draw_mined(console: Console, done: Mined) -> None:
    counts = done.counts
    console.print(
        f"Wrote {counts.rows:,} rows with {counts.negatives:,} mined negatives to "
        f"{escape(done.output)}, from run {escape(done.run)}."
    )
    asked = "rows" if done.from_rows else "queries"
    kept = "kept as they were" if done.from_rows else "left out"
    said = {
        f"rows with fewer than {done.wanted} negatives": counts.few_negatives,
        f"{asked} without any negative, {kept}": counts.without_negative,
        f"{asked} without results in the run, {kept}": counts.without_ranking,
        f"positives that the run does not rank, {kept}": counts.positive_not_ranked,
        "positives that are not among the documents, left out": counts.positive_without_text,
        "queries without a judged positive, left out": counts.without_positive,
        "rows with the texts of an earlier row, left out": counts.repeated,
    }
    for what, count in said.items():
        if count:
            console.print(f"{count:,} {what}")
    console.print(f"Next: hype data check {escape_shell(done.output)}")
