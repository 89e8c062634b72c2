"""The loss of docs/extending.md, installed as a package of a user's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hypencli import HypencoderDualEncoder
from hypencli.__main__ import main
from hypencli.errors import ModelError, RecipeError
from hypencli.models.checkpoints.config import LossConfig
from hypencli.models.losses.registry import loss_class, make_losses
from hypencli.models.qnets.batch import InnerProducts
from hypencli.ops.models import model_folder
from hypencli.recipe import load_recipe, resolve_recipe
from hypestore import Store
from tests.docs.installing import Example


@pytest.fixture
def recipe(example: Callable[[str], Example], site: Path, tmp_path: Path) -> Path:
    """The recipe of the page, with the loss installed."""
    path = tmp_path / "listwise.toml"
    path.write_text(example("A loss").recipe, encoding="utf-8")
    return path


def test_the_loss_is_what_the_page_says(recipe: Path) -> None:
    loss = make_losses([LossConfig("listwise-kl", {"temperature": 2.0, "scale": 3.0})])
    queries = InnerProducts(torch.tensor([[1.0, 0.0]]))
    passages, teacher = torch.tensor([[3.0, 0.0], [1.0, 5.0]]), torch.tensor([[0.0, 4.0]])
    output = loss["listwise-kl"](queries, passages, teacher)
    taught = torch.tensor([0.0, 2.0]).softmax(0)
    learned = torch.tensor([1.5, 0.5]).softmax(0)
    wanted = (taught * (taught.log() - learned.log())).sum()
    assert output.loss.item() == pytest.approx(3 * wanted.item(), rel=1e-5)
    assert output.similarity.tolist() == [[3.0, 1.0]]


def test_a_model_is_trained_with_it(
    recipe: Path,
    example: Callable[[str], Example],
    tmp_path: Path,
    tiny_backbone: Path,
    tiny_collection: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = tmp_path / "study"
    (typed,) = example("A loss").commands
    command = [word.replace("FOLDER", str(tiny_backbone)) for word in typed]
    arguments = [*command, "--name", "mine", "--store", str(store)]
    arguments += ["--set", "training.steps=2", "--set", "training.logging_steps=1"]
    shutil.copy(tiny_collection / "train.jsonl", tmp_path)
    monkeypatch.chdir(recipe.parent)
    assert main(["init", str(store)]) == 0
    assert main(arguments) == 0
    opened = Store.open(store)
    dual = HypencoderDualEncoder.from_pretrained(model_folder(opened, opened.get("mine")))
    (loss,) = dual.loss_functions.values()
    assert loss == loss_class("listwise-kl")(temperature=2.0)


def test_its_options_are_checked(recipe: Path) -> None:
    assert load_recipe(recipe).losses[0].own_options() == {"temperature": 2.0}
    for options, word in (("{temperature=0.0}", "above 0"), ("{heat=1.0}", "temperature")):
        with pytest.raises(RecipeError) as caught:
            load_recipe(recipe, [f"losses.0.options={options}"])
        assert word in str(caught.value)
    with pytest.raises(RecipeError, match="negatives_per_query of at least 1"):
        load_recipe(recipe, ["data.negatives_per_query=0"])


def test_without_the_package_it_is_unknown() -> None:
    with pytest.raises(ModelError, match="listwise-kl"):
        loss_class("listwise-kl")
    values = {"losses": [{"type": "listwise-kl"}], "training": {"steps": 1}, "name": "x"}
    with pytest.raises(RecipeError, match="expected 'margin_mse' or"):
        resolve_recipe(values)


def test_an_option_of_another_loss_is_not_its_own(recipe: Path) -> None:
    with pytest.raises(RecipeError, match="teacher_scale is for type = 'self_distillation'"):
        load_recipe(recipe, ["losses.0.teacher_scale=2.0"])
