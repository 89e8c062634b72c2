"""``hype data check``: whether training rows will train, told before hours are spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.data.training import TrainingSource, open_training_rows
from hypencli.data.training.positives import PositiveRule
from hypencli.data.training.survey import RowStatistics, StatisticsOptions, row_statistics
from hypencli.data.training.tally import NumberCounter, NumberSummary
from hypencli.errors import RecipeError, UsageError
from hypencli.ops.data_verdict import CheckOptions, problems_of, readiness, stopping
from hypencli.ops.datasets import dataset_place
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
            hint="Name it: hype data check FILE --recipe NAME, or --set data.train=FILE",
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
    from hypencli.models.checkpoint import load_tokenizer
    from hypencli.ops.teachers import comes_from_outside, folder_or_name
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
