"""``hype data``: check training files; list and prepare datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hypencli.cli.options import JsonOption, SetOption, StoreOption, open_store, store_around
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, show
from hypencli.cli.output.tables import print_table
from hypencli.cli.verbs.corpora import data_prepare
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.data.training import TrainingSource
    from hypencli.data.training.counts import NumberSummary
    from hypencli.ops.datasets.check import CheckOptions, DataCheck, Tokens

data = typer.Typer(
    help="Check training files, and prepare datasets.",
    no_args_is_help=True,
)
data.command("prepare")(data_prepare.prepare)
data.command("list")(data_prepare.list_)

FINDINGS = {
    "best_not_first": "rows whose first item does not have the best score",
    "first_not_positive": "rows whose first item counts as relevant but has another type",
    "passage_twice": "rows that hold a passage twice",
    "negative_like_positive": "rows with a negative that has the text of a positive",
    "row_twice": "rows that occur twice",
    "query_id_reused": "rows whose query id has another text in an earlier row",
    "passage_id_reused": "items whose id has another text in an earlier row",
}
"""Finding -> its description. These findings stop no training; the verdict names those that do."""


@data.command()
def check(
    rows: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="Training rows: a JSONL (.gz too) or Parquet file, a folder of them, a folder "
            "that the datasets library saved, a dataset of `hype data prepare`, or owner/name of a "
            "dataset on the hub.",
            show_default="that of --recipe",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="The split to read, where the data has several.", show_default="train"),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Take all settings from a recipe, and check whether its training would accept the "
            "data.",
            show_default=False,
        ),
    ] = None,
    override: SetOption = None,
    positives: Annotated[
        Literal["first", "type", "score_above"] | None,
        typer.Option(help="How relevant items of a row are told.", show_default="first"),
    ] = None,
    positive_type: Annotated[
        str | None,
        typer.Option(
            help="With --positives type: the type of a relevant item.", show_default="positive"
        ),
    ] = None,
    positive_score: Annotated[
        float | None,
        typer.Option(
            help="With --positives score_above: relevant items score above this.", show_default="0"
        ),
    ] = None,
    negatives: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Negatives that training draws for each query.",
            show_default="as many as every row has",
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Also count tokens, with the tokenizer of this model: a model of the store, a "
            "folder, or a name on the hub.",
            show_default=False,
        ),
    ] = None,
    query_max_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens of a query.", show_default="64")
    ] = None,
    passage_max_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens of a passage.", show_default="256")
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Check a training file: counts, lengths, scores, and whether training would accept it.

    A malformed line ends the command with exit code 5; the message names the line.

    Examples:
        hype data check train.jsonl

        hype data check train.jsonl --negatives 7 --tokenizer bert-base-uncased/

        hype data check --recipe mine.toml
    """
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.datasets.check import check_data

    root = store_around(store)
    rows = dataset_place(root, rows)
    settings = {
        "positives": positives,
        "positive_type": positive_type,
        "positive_score": positive_score,
        "negatives": negatives,
        "tokenizer": tokenizer,
        "query_max_length": query_max_length,
        "passage_max_length": passage_max_length,
    }
    options_set = {name: value for name, value in settings.items() if value is not None}
    if recipe is not None:
        source, options = _by_recipe(recipe, override or [], (rows, split), root, options_set)
    else:
        source, options = _by_options(rows, split, override or [], options_set)
    result = check_data(source, options, store=lambda: open_store(store), progress=progress())
    show(result, _draw_check, as_json=json)


def _by_recipe(
    recipe: str,
    overrides: list[str],
    place: tuple[str | None, str | None],
    root: Path | None,
    settings: dict[str, Any],
) -> tuple[TrainingSource, CheckOptions]:
    from hypencli.data.training import open_training_rows
    from hypencli.ops.datasets.check import options_of, rows_of_recipe
    from hypencli.recipe import load_recipe

    if settings:
        option = next(iter(settings)).replace("_", "-")
        raise UsageError(
            f"--recipe and --{option} exclude each other: the recipe sets it.",
            hint="Change one value of the recipe: --set data.KEY=VALUE",
        )
    rows, split = place
    resolved = load_recipe(recipe, overrides)
    if rows is not None:
        source = open_training_rows(rows, split=split or resolved.data.split)
    elif split is not None:
        raise UsageError("--split needs FILE.", hint=f"With a recipe: --set data.split={split}")
    else:
        source = rows_of_recipe(resolved, root)
    return source, options_of(resolved)


def _by_options(
    rows: str | None, split: str | None, overrides: list[str], settings: dict[str, Any]
) -> tuple[TrainingSource, CheckOptions]:
    from hypencli.data.training import open_training_rows
    from hypencli.data.training.positives import PositiveRule
    from hypencli.ops.datasets.check import CheckOptions

    if rows is None:
        raise UsageError("No file is named.", hint="hype data check FILE, or --recipe NAME")
    if overrides:
        raise UsageError("--set needs --recipe.", hint="Without a recipe: --positives, --negatives")
    rule = {name: settings.pop(name) for name in list(settings) if name.startswith("positive")}
    options = CheckOptions(rule=PositiveRule(**rule), **settings)
    return open_training_rows(rows, split=split or "train"), options


def _draw_check(console: Console, result: DataCheck) -> None:
    survey = result.survey
    console.print(escape(result.verdict))
    files = f"{len(result.files):,} files" if len(result.files) > 1 else str(result.files[0])
    split = "" if result.split is None else f", split {result.split}"
    console.print(escape(f"{result.name}{split}: {files}"))
    console.print(
        f"{survey.rows:,} rows, {survey.queries:,} distinct queries; {survey.items:,} items, "
        f"{survey.passages:,} distinct passages."
    )
    spreads = {
        "items a row": survey.items_per_row,
        "negatives a row": survey.negatives_per_row,
        "words of a query": survey.query_words,
        "words of a passage": survey.passage_words,
        "tokens of a query": None if result.query_tokens is None else result.query_tokens.spread,
        "tokens of a passage": (
            None if result.passage_tokens is None else result.passage_tokens.spread
        ),
        "score of an item": survey.scores.spread,
    }
    rows = [(name, *_cells(spread)) for name, spread in spreads.items() if spread is not None]
    print_table("", ("", "min", "median", "max"), rows)
    _draw_cut(console, "queries", result.query_tokens)
    _draw_cut(console, "passages", result.passage_tokens)
    scores = survey.scores
    console.print(
        f"Rows with scores of every item: {scores.rows_with_all:,}; of some: "
        f"{scores.rows_with_some:,}; of none: {scores.rows_with_none:,}."
    )
    types = ", ".join(f"{escape(name)} {count:,}" for name, count in survey.types.items())
    console.print(f"Types: {types}.")
    for name, what in FINDINGS.items():
        finding = survey.findings.get(name)
        if finding is not None:
            console.print(f"{finding.count:,} {what} (the first: {escape(finding.first)})")


def _cells(spread: NumberSummary) -> tuple[object, ...]:
    return tuple(
        int(value) if value == int(value) else value
        for value in (spread.minimum, spread.median, spread.maximum)
    )


def _draw_cut(console: Console, what: str, tokens: Tokens | None) -> None:
    if tokens is not None:
        console.print(
            f"Cut at {tokens.max_length} tokens: {tokens.cut:,} of {tokens.spread.count:,} "
            f"distinct {what} ({tokens.cut_share:.1%})."
        )
