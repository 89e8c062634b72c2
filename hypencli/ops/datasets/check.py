"""``hype data check``: whether training rows will train, told before hours are spent."""

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
    """Lengths in tokens, special tokens included.

    Attributes:
        spread: Of the distinct texts.
        max_length: What they are cut to.
        cut: How many are longer.
    """

    spread: NumberSummary
    max_length: int
    cut: int

    @property
    def cut_share(self) -> float:
        """The part of the distinct texts that is longer."""
        return self.cut / self.spread.count


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What a check found.

    Attributes:
        name: Stands for the rows.
        files: Where they are.
        split: The split that the files' names say.
        ready: Whether training takes them.
        verdict: The same in a sentence.
        survey: What they hold.
        query_tokens: Lengths of the queries, where a tokenizer was named.
        passage_tokens: Lengths of the passages.
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
    """What a recipe holds its training rows against."""
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
    """The training rows that a recipe names.

    Args:
        recipe: The recipe.
        store_root: The store whose prepared datasets have names; None outside of one.

    Raises:
        RecipeError: It names none.
        DataError: They cannot be found.
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
    """Read all training rows once, and say whether and how they can be trained on.

    Args:
        source: The rows.
        options: What they are held against.
        store: Opens the store, where the tokenizer is that of a model in it.
        progress: Listens.

    Raises:
        DataError: A row is not what it should be; file and line are named.
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
    from hypencli.ops.datasets.teachers import comes_from_outside, folder_or_name
    from hypencli.runtime import quiet_libraries

    quiet_libraries()
    if comes_from_outside(name):
        return load_tokenizer(folder_or_name(name))
    if store is None:
        raise UsageError(f"{name!r} is neither a folder nor a name on the hub.")
    from hypencli.ops.models import model_folder

    opened = store()
    return load_tokenizer(model_folder(opened, opened.get(name, kind="model")))


class _TokenCounter:
    """Counts the tokens of texts, many at once; without a tokenizer it counts nothing."""

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
        # Not verbose: that a text is longer than the model reads is what is being counted.
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
    """What training rows are held against.

    Attributes:
        rule: Which items are relevant.
        negatives: Negatives drawn for each query and step; None asks how many there could be.
        too_few_negatives: What training does with rows of fewer.
        losses: Types of the losses; None asks which could be.
        query_max_length: Tokens a query is cut to.
        passage_max_length: Tokens a passage is cut to.
        tokenizer: Folder, hub name, or model of the store whose tokenizer counts tokens.
        recipe: Name of the recipe that all this is from.
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
    """What training would stop at.

    Args:
        survey: What the rows hold.
        options: What they are held against.
        longest: Tokens that the encoder reads, where it is known.
    """
    problems = [
        _too_long(options, longest),
        _no_positive(survey, options),
        _few_negatives(survey, options),
        _no_score(survey, options),
    ]
    return [problem for problem in problems if problem is not None]


def stopping(problems: Sequence[str], options: CheckOptions) -> str:
    """The verdict where there are problems."""
    who = "Training" if options.recipe is None else f"Training by recipe {options.recipe!r}"
    return f"{who} would stop: {'; '.join(problems)}."


def readiness(survey: RowStatistics, options: CheckOptions) -> str:
    """The verdict where there are none: which losses, and how many negatives."""
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
