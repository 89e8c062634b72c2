"""``hype data``: training files, looked at before they are trained on; datasets, prepared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hypencli.cli.options import JsonOption, StoreOption, open_store, store_around
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

FINDINGS = {
    "best_not_first": "rows whose first item is not the best scored",
    "first_not_positive": "rows whose first item counts as relevant and has another type",
    "passage_twice": "rows that hold a passage twice",
    "negative_like_positive": "rows with a negative of the same text as a positive",
    "row_twice": "rows that are there twice",
    "query_id_reused": "rows whose query id came with another text before",
    "passage_id_reused": "items whose id came with another text before",
}
"""What is said of what a survey finds and no training stops at; the verdict has the rest."""


@data.command()
def check(
    rows: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="A JSONL (.gz too) or Parquet file, a folder of such or one that the datasets "
            "library saved, a prepared dataset, or owner/name of a dataset on the hub.",
            show_default="the recipe's",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Of several splits, the one to read.", show_default="train"),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Take all settings from a recipe, and say whether its training would refuse.",
            show_default=False,
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value of the recipe.", show_default=False),
    ] = None,
    positives: Annotated[
        Literal["first", "type", "score_above"] | None,
        typer.Option(help="Which items of a row are relevant.", show_default="first"),
    ] = None,
    positive_type: Annotated[
        str | None,
        typer.Option(help="With type: the type of a relevant item.", show_default="positive"),
    ] = None,
    positive_score: Annotated[
        float | None,
        typer.Option(help="With score_above: relevant items score above.", show_default="0"),
    ] = None,
    negatives: Annotated[
        int | None,
        typer.Option(
            min=0, help="Negatives drawn for each query.", show_default="as many as all rows have"
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Count tokens too, with the tokenizer of a model: of the store, a folder, or a "
            "name on the hub.",
            show_default=False,
        ),
    ] = None,
    query_max_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens a query is cut to.", show_default="64")
    ] = None,
    passage_max_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens a passage is cut to.", show_default="256")
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Read a training file once: counts, lengths, scores, and whether training would take it.

    A line that is not what it should be ends with exit code 5, and is named.

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
            f"--recipe and --{option} exclude each other: the recipe says it.",
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
        raise UsageError("Which file?", hint="Name it: hype data check FILE, or --recipe NAME")
    if overrides:
        raise UsageError(
            "--set is for --recipe.", hint="Without a recipe: --positives, --negatives"
        )
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
        f"Rows of which every item is scored: {scores.rows_with_all:,}; some: "
        f"{scores.rows_with_some:,}; none: {scores.rows_with_none:,}."
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


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    data_prepare.register(data)
    app.add_typer(data, name="data")
