"""What a survey of training rows means for a training: ready, or what would stop it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from hypencli.data.training.positives import PositiveRule
from hypencli.data.training.survey import RowStatistics
from hypencli.data.training.tally import Occurrences


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
    return f"{occurrences.count:,} of {survey.rows:,} rows {'has' if occurrences.count == 1 else 'have'}"


def _items(occurrences: Occurrences) -> str:
    return f"{occurrences.count:,} {'item has' if occurrences.count == 1 else 'items have'}"
