"""What contradicts itself in a recipe is refused in words; what is sound is not."""

from __future__ import annotations

from typing import Any

import pytest

from hypencli.errors import RecipeError
from hypencli.recipe import Recipe, resolve_recipe

BI_ENCODER = {"architecture": "bi-encoder"}
CE = {"type": "cross_entropy"}
SELF = {"type": "self_distillation"}
ROWS = {"rows": "v.jsonl"}
SEARCH = {"queries": "q.jsonl", "corpus": "c.jsonl"}


def resolved(**sections: Any) -> Recipe:
    values = {"name": "x", "losses": [CE], "training": {"steps": 1}}
    return resolve_recipe(values | sections)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"initial": "a", "backbone": "b"}, "initial brings its own backbone"),
        ({"initial": "a", "hyper_head_from": "b"}, "initial brings its own hyper_head_from"),
        ({"initial": "a", "pooling": "cls"}, "initial brings its own pooling"),
        ({"initial": "a", "normalize": False}, "initial brings its own normalize"),
        (
            {"initial": "a", "embedding_representation": "cls"},
            "initial brings its own embedding_representation",
        ),
        (
            {"initial": "a", **BI_ENCODER, "query_projection": 1.0},
            "initial brings its own query_projection",
        ),
        (
            {**BI_ENCODER, "hyper_head_from": "a"},
            "hyper_head_from is not for architecture = 'bi-encoder'",
        ),
        ({**BI_ENCODER, "converter": {}}, "converter is not for architecture = 'bi-encoder'"),
        (
            {**BI_ENCODER, "embedding_representation": "cls"},
            "embedding_representation is not for architecture = 'bi-encoder'",
        ),
        ({"query_projection": 1.0}, "query_projection is not for architecture = 'hypencoder'"),
        ({"converter": {"layers": 1, "vector_dimensions": [4, 1]}}, "not both"),
        ({"converter": {"vector_dimensions": [4, 0, 1]}}, "at least 1"),
        ({"converter": {"name": "mine:Net", "layers": 2}}, "layers is for shipped converters"),
    ],
)
def test_models_that_contradict_themselves(model: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        resolved(model=model)
    assert message in caught.value.message


def test_the_word_none_clears_what_an_initial_model_brings() -> None:
    cleared = {"backbone": "none", "pooling": "none", "hyper_head_from": "none"}
    recipe = resolved(model={"initial": "a/b", **cleared})
    assert (recipe.model.initial, recipe.model.backbone) == ("a/b", None)
    back = resolved(model={"initial": "none", "backbone": "b"})
    assert back.model.converter is not None


def test_an_initial_model_may_get_another_converter_but_none_by_default() -> None:
    assert resolved(model={"initial": "a"}).model.converter is None
    named = resolved(model={"initial": "a", "converter": {"name": "matryoshka"}}).model.converter
    assert named is not None
    assert (named.name, named.layers) == ("matryoshka", 6)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([{**CE, "until_step": 0}], "greater than or equal to 1"),
        ([CE, {**CE, "from_step": 5, "until_step": 5}], "until_step must be after from_step"),
        ([CE, {**CE, "from_step": 9, "until_step": 5}], "until_step must be after from_step"),
        ([{**CE, "from_step": 1}], "must count from the first step"),
        (
            [{**CE, "from_step": 1}, {"type": "margin_mse", "from_step": 2}],
            "must count from the first step",
        ),
        ([{**CE, "from_step": -1}], "greater than or equal to 0"),
        ([{**CE, "scale": 0}], "greater than 0"),
        ([{**CE, "teacher_scale": 2.0}], "teacher_scale is for type = 'self_distillation'"),
        ([{**SELF, "teacher_scale": 0}], "greater than 0"),
        (
            [{**SELF, "use_in_batch_negatives": False}],
            "use_in_batch_negatives is for type = 'cross_entropy'",
        ),
        (
            [{"type": "margin_mse", "only_use_first_item": True}],
            "only_use_first_item is for type = 'cross_entropy'",
        ),
        (
            [{**CE, "use_in_batch_negatives": False, "only_use_first_item": True}],
            "only_use_first_item needs use_in_batch_negatives = true",
        ),
    ],
)
def test_losses_that_contradict_themselves(losses: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        resolved(losses=losses)
    assert message in caught.value.message


def test_the_best_loss_is_not_sought_over_stages() -> None:
    staged = [CE, {**CE, "from_step": 5}]
    with pytest.raises(RecipeError, match="compare sums of other losses in each stage"):
        resolved(losses=staged, validation={**ROWS, "best": "loss"})
    measured = {**ROWS, "best": "nDCG@10"}
    assert resolved(losses=staged, validation=measured).validation is not None


def test_losses_in_stages() -> None:
    first = {"type": "margin_mse", "until_step": 10}
    recipe = resolved(losses=[first, {**CE, "from_step": 5}])
    assert [(loss.from_step, loss.until_step) for loss in recipe.losses] == [(0, 10), (5, None)]


@pytest.mark.parametrize(
    ("stages", "gap"),
    [
        ([(0, 5)], 5),
        ([(0, 5), (6, None)], 5),
        ([(0, 3), (0, 5)], 5),
        ([(7, None), (0, 3), (2, 6)], 6),
        ([(0, 5), (5, None)], None),
        ([(3, None), (0, 3)], None),
        ([(0, 20), (0, 4)], None),
    ],
)
def test_every_step_has_a_loss(stages: list[tuple[int, int | None]], gap: int | None) -> None:
    losses = [
        {**CE, "from_step": first, **({} if stop is None else {"until_step": stop})}
        for first, stop in stages
    ]
    if gap is None:
        assert len(resolved(losses=losses, training={"steps": 20}).losses) == len(stages)
        return
    with pytest.raises(RecipeError, match=f"no loss counts at step {gap}: let one go on"):
        resolved(losses=losses, training={"steps": 20})
    assert resolved(losses=losses, training={"steps": gap}).training.steps == gap
    with pytest.raises(RecipeError, match="no loss counts at step"):
        resolved(losses=losses, training={"steps": "none", "epochs": 1.0})


def test_self_distillation_is_for_a_hypencoder() -> None:
    taught = resolved(losses=[{**SELF, "teacher_scale": 2.0}]).losses[0]
    assert taught.own_options() == {"teacher_scale": 2.0}
    with pytest.raises(RecipeError, match="self_distillation is for architecture"):
        resolved(losses=[SELF], model=BI_ENCODER)


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({}, "give rows, or queries and corpus"),
        ({"queries": "q.jsonl"}, "give rows, or queries and corpus"),
        ({"corpus": "c.jsonl"}, "give rows, or queries and corpus"),
        ({**ROWS, **SEARCH}, "not both"),
        ({**ROWS, "qrels": "qrels.txt"}, "not both"),
        ({**ROWS, "patience": 3}, "patience needs best"),
        ({**ROWS, "best": "loss", "patience": 0}, "greater than or equal to 1"),
        ({**ROWS, "best": "nDCG@5"}, "best = 'nDCG@5' is neither loss nor among measures"),
        ({**SEARCH, "best": "loss"}, "best = 'loss' needs rows"),
        ({**ROWS, "every_steps": 0}, "greater than or equal to 1"),
        ({**ROWS, "row": "v"}, "unknown key 'validation.row'"),
    ],
)
def test_validations_that_contradict_themselves(validation: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        resolved(validation=validation)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "validation",
    [
        ROWS,
        {**ROWS, "best": "loss", "patience": 2},
        {**SEARCH, "qrels": "qrels.txt", "best": "RR@10"},
        {**SEARCH, "measures": ["nDCG@5"], "best": "nDCG@5"},
    ],
)
def test_validations_that_are_sound(validation: dict[str, Any]) -> None:
    recipe = resolved(validation=validation)
    assert recipe.validation is not None
    assert (
        recipe.validation.model_dump().items()
        >= {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in validation.items()
        }.items()
    )


def test_no_validation_is_the_default_and_can_be_restored() -> None:
    assert resolved().validation is None
    assert resolved(validation="none").validation is None


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"cache_encoder": True}, "cache_encoder needs model.freeze_encoder = true"),
        ({"chunk_size": 0}, "greater than or equal to 1"),
        ({"warmup_steps": 5, "warmup_ratio": 0.1}, "warmup_steps or warmup_ratio, not both"),
        ({"learning_rates": {"*.gate": -1.0}}, "every rate is at least 0"),
        ({"max_minutes": 0.0}, "greater than 0"),
        ({"epochs": 1.0}, "either steps or epochs"),
    ],
)
def test_trainings_that_contradict_themselves(training: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        resolved(training={"steps": 1, **training})
    assert message in caught.value.message


@pytest.mark.parametrize("saving", [{"chunk_size": 4}, {"activation_checkpointing": True}])
def test_a_cached_encoder_has_no_activations_to_save(saving: dict[str, Any]) -> None:
    frozen = {"freeze_encoder": True}
    cached = {"steps": 1, "cache_encoder": True}
    assert resolved(model=frozen, training=cached).training.cache_encoder
    with pytest.raises(RecipeError, match="leaves no activations: clear chunk_size"):
        resolved(model=frozen, training=cached | saving)
    assert resolved(model=frozen, training={"steps": 1} | saving)


def test_a_group_is_one_of_those_listed() -> None:
    assert resolved(group="paper").group == "paper"
    with pytest.raises(RecipeError, match="expected 'first steps', 'paper'"):
        resolved(group="papers")
