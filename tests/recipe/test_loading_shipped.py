"""The shipped recipes: they resolve, they come back from TOML, and their numbers are published."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from hypencli.recipe import Recipe, list_recipes, load_recipe, resolve_recipe, to_toml
from hypencli.recipe.schema import Group

NAMES = [summary.name for summary in list_recipes()]

CONTRAST_OF_FIRST_ITEMS = [
    {"type": "margin_mse"},
    {"type": "cross_entropy", "use_in_batch_negatives": True, "only_use_first_item": True},
]
PAPER = {
    "model.architecture": "hypencoder",
    "model.backbone": "google-bert/bert-base-uncased",
    "model.pooling": "cls",
    "model.shared_encoder": True,
    "model.freeze_encoder": False,
    "model.converter.name": "repeated-dense",
    "data.train": "jfkback/hypencoder-msmarco-training-dataset",
    "data.positives": "first",
    "data.negatives_per_query": 7,
    "data.query_max_length": 32,
    "data.passage_max_length": 196,
    "losses": CONTRAST_OF_FIRST_ITEMS,
    "training.steps": 800_000,
    "training.epochs": None,
    "training.batch_size": 64,
    "training.gradient_accumulation": 1,
    "training.learning_rate": 2e-5,
    "training.schedule": "constant",
    "training.warmup_steps": 6000,
    "training.warmup_ratio": 0.0,
    "training.weight_decay": 0.0,
    "training.precision": "bfloat16",
    "validation": None,
}
EXAMPLE = PAPER | {
    "model.converter.layers": 2,
    "data.train": None,
    "data.negatives_per_query": 8,
    "data.passage_max_length": 512,
    "training.steps": None,
    "training.epochs": 1.0,
}
HARD = {
    "model.architecture": "hypencoder",
    "model.initial": "jfkback/hypencoder.6_layer",
    "model.backbone": None,
    "model.converter": None,
    "model.freeze_encoder": False,
    "data.train": None,
    "data.positives": "type",  # a deviation, see the recipe
    "data.negatives_per_query": 1,
    "data.too_few_negatives": "repeat",
    "data.query_max_length": 512,
    "data.passage_max_length": 512,
    "losses": [{"type": "cross_entropy", "use_in_batch_negatives": False}],
    "training.steps": None,
    "training.epochs": 1.0,
    "training.batch_size": 96,
    "training.gradient_accumulation": 1,
    "training.learning_rate": 8e-6,
    "training.schedule": "linear",
    "training.warmup_ratio": 0.1,
    "training.precision": "bfloat16",
}
HARD_BASELINE = HARD | {
    "model.architecture": "bi-encoder",
    "model.initial": "bebase",
    "losses": [
        {"type": "cross_entropy", "use_in_batch_negatives": True, "only_use_first_item": False}
    ],
    "training.batch_size": 48,
    "training.gradient_accumulation": 2,
}
FROZEN = PAPER | {
    "model.backbone": "facebook/contriever-msmarco",
    "model.pooling": "mean",
    "model.hyper_head_from": "jfkback/hypencoder.6_layer",
    "model.freeze_encoder": True,
    "model.converter.layers": 6,
    "training.steps": None,
    "training.epochs": 3.0,
    "training.learning_rate": 1e-3,
    "training.schedule": "linear",
    "training.warmup_steps": 0,
    "training.warmup_ratio": 0.1,
    "training.weight_decay": 0.01,
    "training.cache_encoder": False,
}
TRAINED = {
    "model.freeze_encoder": False,
    "training.epochs": 1.0,
    "training.learning_rate": 1e-5,
}
TASB = {
    "model.backbone": "sebastian-hofstaetter/distilbert-dot-tas_b-b256-msmarco",
    "model.pooling": "cls",
}
RETROMAE = {"model.backbone": "Shitao/RetroMAE_MSMARCO_finetune", "model.pooling": "cls"}

PUBLISHED: dict[str, dict[str, Any]] = {
    **{f"hypencoder-{n}": PAPER | {"model.converter.layers": n} for n in (2, 4, 6, 8)},
    "bebase": {key: value for key, value in PAPER.items() if "converter" not in key}
    | {
        "model.architecture": "bi-encoder",
        "model.shared_encoder": False,
        "model.converter": None,
        "training.schedule": "linear",
    },
    "distillation": EXAMPLE,
    "contrastive-hard-negatives": EXAMPLE | {"losses": [{"type": "cross_entropy"}]},
    "contrastive": EXAMPLE | {"losses": [{"type": "cross_entropy"}], "data.negatives_per_query": 0},
    "followir": HARD,
    "tot": HARD | {"training.epochs": 25.0},
    "bebase-followir": HARD_BASELINE,
    "bebase-tot": HARD_BASELINE | {"training.epochs": 25.0},
    "contriever-frozen": FROZEN,
    "tasb-frozen": FROZEN | TASB,
    "retromae-frozen": FROZEN | RETROMAE,
    "contriever": FROZEN | TRAINED,
    "tasb": FROZEN | TRAINED | TASB,
    "retromae": FROZEN | TRAINED | RETROMAE,
    "matryoshka": PAPER
    | {
        "model.backbone": None,
        "model.pooling": None,
        "model.initial": "jfkback/hypencoder.6_layer",
        "model.freeze_encoder": True,
        "model.converter.name": "matryoshka",
        "model.converter.layers": 6,
        "model.converter.options": {"widths": [128, 256, 512]},
        "losses": [{"type": "margin_mse"}],
        "training.steps": None,
        "training.epochs": 15.0,
        "training.batch_size": 256,
        "training.gradient_accumulation": 2,
        "training.learning_rate": 5e-5,
        "training.schedule": "cosine",
        "training.warmup_steps": 0,
        "training.warmup_ratio": 0.1,
    },
}


def at(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for part in key.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_numbers_are_the_published_ones(name: str) -> None:
    recipe = load_recipe(name)
    expected = PUBLISHED[name]
    losses = expected["losses"]
    rest = {key: value for key, value in expected.items() if key != "losses"}
    assert {key: at(recipe, key) for key in rest} == rest
    assert len(recipe.losses) == len(losses)
    for loss, wanted in zip(recipe.losses, losses, strict=True):
        assert loss.model_dump().items() >= wanted.items()
        assert (loss.scale, loss.from_step, loss.until_step) == (1.0, 0, None)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_comes_back_from_toml(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    for meanings in (False, True):
        text = to_toml(recipe, meanings=meanings)
        again = resolve_recipe(tomllib.loads(text))
        assert again == recipe
        assert again.hash == recipe.hash
    path = tmp_path / "copy.toml"
    path.write_text(text, encoding="utf-8")
    assert load_recipe(path) == recipe


def test_shipped_recipes_are_different_things_to_train() -> None:
    identities = {name: (load_recipe(name).hash, starts(load_recipe(name))) for name in NAMES}
    assert len(set(identities.values())) == len(NAMES)


def starts(recipe: Recipe) -> tuple[str | None, ...]:
    model = recipe.model
    return model.backbone, model.initial, model.hyper_head_from


@pytest.mark.parametrize("summary", list_recipes(), ids=lambda summary: summary.name)
def test_a_recipe_says_in_a_line_what_it_is_for(summary: Any) -> None:
    assert summary.group in get_args(Group)
    assert 10 <= len(summary.description) <= 80
    assert "\n" not in summary.description
    head = summary.path.read_text(encoding="utf-8").splitlines()[0]
    assert head.startswith("# ")
    own = tomllib.loads(summary.path.read_text(encoding="utf-8"))
    assert own["description"] == summary.description, "inherited from what it extends"


def test_the_list_is_by_group_and_name() -> None:
    collected = [(summary.group, summary.name) for summary in list_recipes()]
    order = get_args(Group)
    assert collected == sorted(collected, key=lambda pair: (order.index(pair[0]), pair[1]))


def test_the_table_of_the_readme_is_complete(repository: Path) -> None:
    readme = (repository / "recipes" / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| recipe | what |") :]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == sorted(NAMES)


def test_the_readme_names_fields_that_exist(repository: Path) -> None:
    readme = (repository / "recipes" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", readme, flags=re.MULTILINE)
    assert len(blocks) == 3
    for block in blocks:
        values = tomllib.loads(block)
        values.setdefault("losses", [{"type": "cross_entropy"}])
        training = values.setdefault("training", {})
        if not {"steps", "epochs"} & training.keys():
            training["steps"] = 1
        resolve_recipe({"name": "x", **values})
