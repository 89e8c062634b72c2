from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from hypencli.data.training import open_training_rows, write_training_rows
from hypencli.data.training.positives import PositiveRule
from hypencli.errors import DataError, HypeError, ModelError, RecipeError, UsageError
from hypencli.ops.datasets.check import (
    CheckOptions,
    DataCheck,
    check_data,
    options_of,
    rows_of_recipe,
)
from hypencli.ops.training.run import train
from hypencli.recipe import Recipe, load_recipe
from hypencli.records import Query, TrainingItem, TrainingRow
from hypestore import Store

Check = Callable[..., DataCheck]


def row(query_id: str, *items: tuple[Any, ...]) -> TrainingRow:
    """A row of items ``(score, type)``, each a passage of its own."""
    created = (
        TrainingItem(f"{query_id}-{i}", f"river bank {query_id} {i}", score, kind)
        for i, (score, kind) in enumerate(items)
    )
    return TrainingRow(Query(query_id, f"what is {query_id}"), tuple(created))


SCORED = [row(str(i), (2.0, "positive"), (1.0, "negative"), (0.5, "negative")) for i in range(8)]
BARE = [row(str(i), (None, None), (None, None)) for i in range(8)]
ALONE = [row("a", (None, None)), *BARE]
ONE_UNSCORED = [*SCORED, row("u", (2.0, "positive"), (None, "negative"), (1.0, "negative"))]
UNTYPED = [*SCORED, row("n", (2.0, "other"), (1.0, "negative"), (1.0, "negative"))]
FEW = [*SCORED, row("f", (2.0, "positive"), (1.0, "negative"))]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Write rows to a file and check it."""

    def run(rows: list[TrainingRow], **options: Any) -> DataCheck:
        write_training_rows(tmp_path / "rows.jsonl", rows)
        return check_data(open_training_rows(tmp_path / "rows.jsonl"), CheckOptions(**options))

    return run


@pytest.mark.parametrize(
    ("rows", "options", "verdict"),
    [
        (SCORED, {}, "Ready for margin_mse and cross_entropy with up to 2 negatives a query."),
        (
            ONE_UNSCORED,
            {},
            "Ready for cross_entropy with up to 2 negatives a query, not for margin_mse: 1 item "
            "has no score (row 9, query 'u', item 'u-1').",
        ),
        (
            ALONE,
            {},
            "Ready for cross_entropy with negatives from the batch alone: 1 of 9 rows has no "
            "negative (row 1, query 'a').",
        ),
        (
            FEW,
            {"negatives": 2},
            "Training would stop: 1 of 9 rows has fewer than 2 negatives (row 9, query 'f'; the "
            "fewest are 1).",
        ),
        (
            UNTYPED,
            {"rule": PositiveRule("type")},
            "Training would stop: 1 of 9 rows has no positive (row 9, query 'n'; expected an item "
            "of type 'positive').",
        ),
        (
            SCORED,
            {"rule": PositiveRule("score_above", positive_score=1.5)},
            "Ready for margin_mse and cross_entropy with up to 2 negatives a query.",
        ),
        (
            SCORED,
            {"rule": PositiveRule("score_above", positive_score=2.0), "negatives": 4},
            "Training would stop: 8 of 8 rows have no positive (row 1, query '0'; expected an item "
            "that scores above 2); 8 of 8 rows have fewer than 4 negatives (row 1, query '0'; the "
            "fewest are 3).",
        ),
    ],
)
def test_the_verdict(
    check: Check, rows: list[TrainingRow], options: dict[str, Any], verdict: str
) -> None:
    actual = check(rows, **options)
    assert actual.verdict == verdict
    assert actual.ready == verdict.startswith("Ready")


@pytest.fixture
def recipe(tiny_backbone: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """The recipe ``tiny`` on rows of one's own."""

    def made(rows: list[TrainingRow], *overrides: str) -> Recipe:
        write_training_rows(tmp_path / "rows.jsonl", rows)
        places = [f"model.backbone={tiny_backbone}", f"data.train={tmp_path / 'rows.jsonl'}"]
        return load_recipe("tiny", [*places, "training.steps=1", *overrides])

    return made


CROSS_ENTROPY = "losses=[{type = 'cross_entropy'}]"
RECIPES = {
    "scored": (SCORED, [], True),
    "bare": (BARE, [], False),
    "bare, no teacher needed": (BARE, [CROSS_ENTROPY], True),
    "one without score": (ONE_UNSCORED, [], False),
    "few": (FEW, ["data.negatives_per_query=2"], False),
    "few, repeated": (FEW, ["data.negatives_per_query=2", "data.too_few_negatives=repeat"], True),
    "few, skipped": (FEW, ["data.negatives_per_query=2", "data.too_few_negatives=skip"], True),
    "all skipped": (SCORED, ["data.negatives_per_query=3", "data.too_few_negatives=skip"], False),
    "none to repeat": (
        ALONE,
        [CROSS_ENTROPY, "data.too_few_negatives=repeat", "data.negatives_per_query=1"],
        False,
    ),
    "skipped without score": (
        [*SCORED, row("u", (2.0, "positive"), (None, "negative"))],
        ["data.negatives_per_query=2", "data.too_few_negatives=skip"],
        True,
    ),
    "no negatives wanted": (ALONE, [CROSS_ENTROPY, "data.negatives_per_query=0"], True),
    "untyped": (UNTYPED, ["data.positives=type"], False),
    "scores above": (SCORED, ["data.positives=score_above", "data.positive_score=1.5"], True),
    "none above": (SCORED, ["data.positives=score_above", "data.positive_score=2.5"], False),
    "too long": (SCORED, ["data.passage_max_length=129"], False),
}


@pytest.mark.parametrize("case", RECIPES)
def test_training_agrees_with_the_verdict(
    case: str, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    """Whatever the check says of a recipe, training by it does."""
    rows, overrides, ready = RECIPES[case]
    resolved = recipe(rows, *overrides)
    checked = check_data(rows_of_recipe(resolved), options_of(resolved))
    store = Store.create(tmp_path / "store")
    if ready:
        assert checked.verdict.startswith("Ready for recipe 'tiny': ")
        assert train(store, resolved).steps == 1
    else:
        assert checked.verdict.startswith("Training by recipe 'tiny' would stop: ")
        with pytest.raises(HypeError):
            train(store, resolved)
    assert checked.ready == ready


def test_rows_that_recipes_leave_out_are_told(recipe: Callable[..., Recipe]) -> None:
    resolved = recipe(FEW, *RECIPES["few, skipped"][1])
    checked = check_data(rows_of_recipe(resolved), options_of(resolved))
    assert checked.verdict == (
        "Ready for recipe 'tiny': margin_mse and cross_entropy with 2 negatives a query, "
        "1 of 9 rows left out."
    )


def test_a_recipe_without_data_is_refused() -> None:
    with pytest.raises(RecipeError, match="names no training data") as caught:
        rows_of_recipe(load_recipe("tiny"))
    assert "data.train" in str(caught.value.hint)


@pytest.mark.parametrize("place", ["folder", "store"])
def test_tokens_are_those_of_the_tokenizer(
    place: str, check: Check, tiny_backbone: Path, finished_study: Path, tmp_path: Path
) -> None:
    write_training_rows(tmp_path / "rows.jsonl", SCORED)
    name = str(tiny_backbone) if place == "folder" else "hyper"
    options = CheckOptions(tokenizer=name, query_max_length=6, passage_max_length=9)
    checked = check_data(
        open_training_rows(tmp_path / "rows.jsonl"),
        options,
        store=lambda: Store.open(finished_study),
    )
    tokenizer = AutoTokenizer.from_pretrained(tiny_backbone)
    passages = {item.content for row in SCORED for item in row.items}
    lengths = sorted(len(tokenizer(text)["input_ids"]) for text in passages)
    assert checked.passage_tokens is not None
    assert checked.query_tokens is not None
    spread = checked.passage_tokens.spread
    assert (spread.count, spread.minimum, spread.maximum) == (24, lengths[0], lengths[-1])
    assert checked.passage_tokens.cut == sum(length > 9 for length in lengths)
    queries = [len(tokenizer(row.query.text)["input_ids"]) for row in SCORED]
    assert checked.query_tokens.cut_share == sum(length > 6 for length in queries) / 8


def test_more_texts_than_are_tokenised_at_once(check: Check, tiny_backbone: Path) -> None:
    many = [row(str(i), *[(1.0, "positive")] * 3) for i in range(400)]
    actual = check(many, tokenizer=str(tiny_backbone))
    assert actual.passage_tokens is not None
    assert actual.passage_tokens.spread.count == actual.survey.passages == 1200


def test_a_tokenizer_that_is_nowhere(check: Check, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No tokenizer"):
        check(SCORED, tokenizer=str(tmp_path))
    with pytest.raises(UsageError, match="neither a folder nor a name on the hub"):
        check(SCORED, tokenizer="hyper")


def test_a_broken_row_ends_the_check(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_training_rows(path, SCORED)
    with path.open("a", encoding="utf-8") as out:
        out.write('{"query": {"id": "q", "content": "x"}, "items": [{"id": "d"}]}\n')
    with pytest.raises(DataError, match=r"line 9: items\[0\]: content"):
        check_data(open_training_rows(path))
