"""``hype data check``: checks training rows before a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hypencli.data.training import TrainingSource, open_training_rows
from hypencli.data.training.counts import NumberCounter, NumberSummary, Occurrences
from hypencli.data.training.positives import PositiveRule
from hypencli.data.training.survey import RowStatistics, StatisticsOptions, row_statistics
from hypencli.errors import RecipeError, UsageError
from hypencli.ops.dataset_names import dataset_place
from hypencli.progress import SILENT, Progress

if TYPE_CHECKING:
    from hypencli.recipe import Recipe
    from hypestore import Store

_TEXTS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Tokens:
    """Lengths of the distinct texts in tokens, including special tokens.

    Attributes:
        spread: Minimum, mean and maximum.
        max_length: Maximum length, at which texts are cut.
        cut: Number of longer texts.
    """

    spread: NumberSummary
    max_length: int
    cut: int

    @property
    def cut_share(self) -> float:
        """Share of the texts that are cut, from 0 to 1."""
        return self.cut / self.spread.count


@dataclass(frozen=True, slots=True)
class DataCheck:
    """Result of a check of training rows.

    Attributes:
        name: Name of the rows.
        files: Files of the rows.
        split: Split in the names of the files, if any.
        ready: Whether a training can use the rows.
        verdict: ``ready`` in a sentence, with the reason.
        survey: Statistics of the rows.
        query_tokens: Lengths of the queries, if a tokenizer is named.
        passage_tokens: Lengths of the passages, if a tokenizer is named.
    """

    name: str
    files: tuple[Path, ...]
    split: str | None
    ready: bool
    verdict: str
    survey: RowStatistics
    query_tokens: Tokens | None = None
    passage_tokens: Tokens | None = None


def options_of(recipe: Recipe) -> CheckOptions:
    """The requirements of a recipe on its training rows."""
    data, model = recipe.data, recipe.model
    return CheckOptions(
        rule=PositiveRule(data.positives, data.positive_type, data.positive_score),
        negatives=data.negatives_per_query,
        too_few_negatives=data.too_few_negatives,
        losses=tuple(loss.type for loss in recipe.losses),
        query_max_length=data.query_max_length,
        passage_max_length=data.passage_max_length,
        tokenizer=model.initial or model.backbone,
        recipe=recipe.name,
    )


def rows_of_recipe(recipe: Recipe, store_root: Path | None = None) -> TrainingSource:
    """Open the training rows that a recipe names.

    Args:
        recipe: The recipe.
        store_root: Folder of the store with prepared datasets; None outside a store.

    Raises:
        RecipeError: The recipe names no training data.
        DataError: The training data cannot be found.
    """
    if recipe.data.train is None:
        raise RecipeError(
            f"Recipe {recipe.name!r} names no training data.",
            hint="Name the training file, or set data.train in the recipe.",
        )
    place = dataset_place(store_root, recipe.data.train)
    return open_training_rows(place, split=recipe.data.split)


def check_data(
    source: TrainingSource,
    options: CheckOptions | None = None,
    *,
    store: Callable[[], Store] | None = None,
    progress: Progress = SILENT,
) -> DataCheck:
    """Read all training rows once, and check whether a training can use them.

    Args:
        source: The rows.
        options: Requirements on the rows.
        store: Opens the store, for a tokenizer of a model in the store.
        progress: Where to report.

    Raises:
        DataError: A row is malformed; the message has file and line.
        ModelError: There is no such tokenizer.
    """
    options = options or CheckOptions()
    tokenizer = None if options.tokenizer is None else _tokenizer(options.tokenizer, store)
    queries, passages = _TokenCounter(tokenizer), _TokenCounter(tokenizer)
    wanted = StatisticsOptions(
        options.rule, options.negatives or 0, skip_few=options.too_few_negatives == "skip"
    )
    with progress.task("check", unit="rows") as task:
        survey = row_statistics(
            source, wanted, on_row=task.advance, on_query=queries.add, on_passage=passages.add
        )
    longest = None if tokenizer is None else int(tokenizer.model_max_length)
    problems = problems_of(survey, options, longest)
    return DataCheck(
        name=source.name,
        files=source.files,
        split=source.split,
        ready=not problems,
        verdict=stopping(problems, options) if problems else readiness(survey, options),
        survey=survey,
        query_tokens=queries.result(options.query_max_length),
        passage_tokens=passages.result(options.passage_max_length),
    )


def _tokenizer(name: str, store: Callable[[], Store] | None) -> Any:
    from hypencli.models.load import load_tokenizer
    from hypencli.ops.datasets.teachers import folder_or_name
    from hypencli.ops.models import comes_from_outside, model_folder
    from hypencli.runtime import quiet_libraries

    quiet_libraries()
    if comes_from_outside(name):
        return load_tokenizer(folder_or_name(name))
    if store is None:
        raise UsageError(f"{name!r} is neither a folder nor a name on the hub.")
    opened = store()
    return load_tokenizer(model_folder(opened, opened.get(name, kind="model")))


class _TokenCounter:
    """Counts the tokens of texts in batches. Without a tokenizer it counts nothing."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._waiting: list[str] = []
        self._lengths = NumberCounter()

    def add(self, text: str) -> None:
        if self._tokenizer is None:
            return
        self._waiting.append(text)
        if len(self._waiting) == _TEXTS_AT_ONCE:
            self._count()

    def _count(self) -> None:
        from hypencli.models.checkpoints.tokenizer_bounds import refusing_panics

        # Not verbose: the warning about long texts would repeat what is counted.
        with refusing_panics("The tokenizer cannot read the texts"):
            ids = self._tokenizer(
                self._waiting, truncation=False, return_attention_mask=False, verbose=False
            )["input_ids"]
        self._lengths.add(map(len, ids))
        self._waiting = []

    def result(self, max_length: int) -> Tokens | None:
        if self._waiting:
            self._count()
        spread = self._lengths.summary()
        if spread is None:
            return None
        return Tokens(spread, max_length, self._lengths.above(max_length))


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Requirements on training rows.

    Attributes:
        rule: Rule of the relevant items.
        negatives: Negatives per query and step. None reports the number that the rows allow.
        too_few_negatives: How a training treats rows with fewer negatives.
        losses: Types of the losses. None reports the losses that the rows allow.
        query_max_length: Maximum number of tokens of a query.
        passage_max_length: Maximum number of tokens of a passage.
        tokenizer: Folder, hub name, or model of the store whose tokenizer counts tokens.
        recipe: Name of the recipe with these requirements, if any.
    """

    rule: PositiveRule = field(default_factory=PositiveRule)
    negatives: int | None = None
    too_few_negatives: Literal["error", "repeat", "skip"] = "error"
    losses: tuple[str, ...] | None = None
    query_max_length: int = 64
    passage_max_length: int = 256
    tokenizer: str | None = None
    recipe: str | None = None


def problems_of(survey: RowStatistics, options: CheckOptions, longest: int | None) -> list[str]:
    """List the reasons for which a training would stop.

    Args:
        survey: Statistics of the rows.
        options: Requirements on the rows.
        longest: Maximum number of tokens of the encoder, if known.
    """
    problems = [
        _too_long(options, longest),
        _no_positive(survey, options),
        _few_negatives(survey, options),
        _no_score(survey, options),
    ]
    return [problem for problem in problems if problem is not None]


def stopping(problems: Sequence[str], options: CheckOptions) -> str:
    """The verdict on rows with problems."""
    who = "Training" if options.recipe is None else f"Training by recipe {options.recipe!r}"
    return f"{who} would stop: {'; '.join(problems)}."


def readiness(survey: RowStatistics, options: CheckOptions) -> str:
    """The verdict on rows without problems: losses, and number of negatives."""
    if options.losses is not None:
        losses = " and ".join(dict.fromkeys(options.losses))
        return (
            f"Ready for recipe {options.recipe!r}: {losses} with {_negatives(options.negatives)} "
            f"a query{_exceptions(survey, options)}."
        )
    fewest = int(survey.negatives_per_row.minimum)
    if fewest == 0:
        none = survey.findings["no_negative"]
        return (
            "Ready for cross_entropy with negatives from the batch alone: "
            f"{_rows(none, survey)} no negative ({none.first})."
        )
    missing = survey.findings.get("no_score")
    if missing is not None:
        return (
            f"Ready for cross_entropy with up to {_negatives(fewest)} a query, not for margin_mse: "
            f"{_items(missing)} no score ({missing.first})."
        )
    return f"Ready for margin_mse and cross_entropy with up to {_negatives(fewest)} a query."


def _exceptions(survey: RowStatistics, options: CheckOptions) -> str:
    few = survey.findings.get("few_negatives")
    if few is None:
        return ""
    what = "left out" if options.too_few_negatives == "skip" else "with some of theirs repeated"
    return f", {few.count:,} of {survey.rows:,} rows {what}"


def _too_long(options: CheckOptions, longest: int | None) -> str | None:
    wanted = max(options.query_max_length, options.passage_max_length)
    if options.recipe is None or longest is None or wanted <= longest:
        return None
    return f"texts of {wanted} tokens are longer than the encoder reads, {longest}"


def _no_positive(survey: RowStatistics, options: CheckOptions) -> str | None:
    occurrences = survey.findings.get("no_positive")
    if occurrences is None:
        return None
    expected = f"expected {options.rule.expectation}"
    return f"{_rows(occurrences, survey)} no positive ({occurrences.first}; {expected})"


def _few_negatives(survey: RowStatistics, options: CheckOptions) -> str | None:
    few, none = survey.findings.get("few_negatives"), survey.findings.get("no_negative")
    if few is None:
        return None
    what = f"fewer than {_negatives(options.negatives)}"
    match options.too_few_negatives:
        case "error":
            fewest = f"{few.first}; the fewest are {survey.negatives_per_row.minimum:g}"
            return f"{_rows(few, survey)} {what} ({fewest})"
        case "repeat" if none is not None:
            return f"{_rows(none, survey)} no negative to repeat ({none.first})"
        case "skip" if few.count == survey.rows:
            return f"every row has {what}, so all would be left out"
    return None


def _no_score(survey: RowStatistics, options: CheckOptions) -> str | None:
    missing = survey.findings.get("no_score")
    if missing is None or "margin_mse" not in (options.losses or ()):
        return None
    return f"{_items(missing)} no score ({missing.first}), which margin_mse needs on every item"


def _negatives(count: int | None) -> str:
    return f"{count} negative{'' if count == 1 else 's'}"


def _rows(occurrences: Occurrences, survey: RowStatistics) -> str:
    verb = "has" if occurrences.count == 1 else "have"
    return f"{occurrences.count:,} of {survey.rows:,} rows {verb}"


def _items(occurrences: Occurrences) -> str:
    return f"{occurrences.count:,} {'item has' if occurrences.count == 1 else 'items have'}"
