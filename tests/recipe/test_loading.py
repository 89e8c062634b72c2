from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.errors import RecipeError
from hypencli.recipe import list_recipes, load_recipe, recipes_folder, resolve_recipe

PLAIN = """
[model]
backbone = "some/encoder"

[[losses]]
type = "margin_mse"

[[losses]]
type = "cross_entropy"
scale = 0.5

[training]
steps = 10
"""


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.toml"
    path.write_text(PLAIN, encoding="utf-8")
    return path


def refusal(path: str | Path, *overrides: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return caught.value


def test_shipped_recipes_are_found_by_name_and_load() -> None:
    summaries = list_recipes()
    assert "tiny" in {summary.name for summary in summaries}
    for summary in summaries:
        assert summary.description
        assert load_recipe(summary.name).name == summary.name
        assert load_recipe(summary.path) == load_recipe(summary.name)


def test_values_defaults_and_name(plain: Path) -> None:
    recipe = load_recipe(plain)
    assert recipe.name == "plain"
    assert recipe.model.backbone == "some/encoder"
    assert recipe.data.query_max_length == 64
    assert [loss.scale for loss in recipe.losses] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("training.steps=25", lambda r: r.training.steps == 25),
        ("training.learning_rate=1e-4", lambda r: r.training.learning_rate == 1e-4),
        ("training.learning_rate=1", lambda r: r.training.learning_rate == 1.0),
        ("model.pooling=mean", lambda r: r.model.pooling == "mean"),
        ('model.pooling="mean"', lambda r: r.model.pooling == "mean"),
        ("data.train=/some where/x=1.jsonl", lambda r: r.data.train == "/some where/x=1.jsonl"),
        ("losses.1.scale=2.0", lambda r: [x.scale for x in r.losses] == [1.0, 2.0]),
        ("losses=[{type='cross_entropy'}]", lambda r: len(r.losses) == 1),
        ("model.converter.options.activation=gelu", lambda r: r.model.converter.options != {}),
        (
            'training.learning_rates."*.gate"=0.5',
            lambda r: r.training.learning_rates == {"*.gate": 0.5},
        ),
        ("model.backbone=none", lambda r: r.model.backbone is None),
        ("model.trust_code=true", lambda r: r.model.trust_code),
        (
            "model.converter.vector_dimensions=[8, 4, 1]",
            lambda r: r.model.converter.vector_dimensions == (8, 4, 1),
        ),
        ("model.converter.name=mine:Net", lambda r: r.model.converter.layers is None),
    ],
)
def test_overrides(plain: Path, override: str, read) -> None:
    assert read(load_recipe(plain, [override]))


def test_later_overrides_win(plain: Path) -> None:
    overrides = ["training.steps=none", "training.epochs=2", "training.epochs=3"]
    assert load_recipe(plain, overrides).training.epochs == 3


def test_extends_joins_tables_and_replaces_arrays(plain: Path, tmp_path: Path) -> None:
    child = tmp_path / "child.toml"
    child.write_text(
        'extends = "plain.toml"\n[training]\nbatch_size = 3\n[[losses]]\ntype = "cross_entropy"\n',
        encoding="utf-8",
    )
    recipe = load_recipe(child)
    assert (recipe.name, recipe.training.steps, recipe.training.batch_size) == ("child", 10, 3)
    assert recipe.model.backbone == "some/encoder"
    assert [loss.type for loss in recipe.losses] == ["cross_entropy"]


def test_extends_by_shipped_name(tmp_path: Path) -> None:
    child = tmp_path / "child.toml"
    child.write_text('extends = "tiny"\n[training]\nseed = 1\n', encoding="utf-8")
    assert load_recipe(child).losses == load_recipe("tiny").losses


def test_circle_of_extends_is_refused(tmp_path: Path) -> None:
    for name, parent in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.toml").write_text(f'extends = "{parent}.toml"\n', encoding="utf-8")
    assert "extends itself" in refusal(tmp_path / "a.toml").message


def test_places_are_meant_from_the_folder_of_the_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "base.toml").write_text(PLAIN + '[data]\ntrain = "../x.jsonl"\n', encoding="utf-8")
    child = tmp_path / "child.toml"
    child.write_text('extends = "folder/base.toml"\n', encoding="utf-8")
    assert load_recipe(child).data.train == str(tmp_path / "x.jsonl")
    assert load_recipe(child, ["data.train=./y.jsonl"]).data.train == "./y.jsonl"


def test_unknown_recipe_lists_near_names_and_the_folder() -> None:
    error = refusal("tinny")
    assert str(recipes_folder()) in error.message
    assert "Did you mean 'tiny'" in str(error.hint)


def test_missing_file(tmp_path: Path) -> None:
    assert "No recipe file" in refusal(tmp_path / "no.toml").message


def test_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[model]\npooling = \n", encoding="utf-8")
    error = refusal(path)
    assert str(path) in error.message
    assert "line 2" in error.message


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b'description = "\xe9"\n')
    assert "latin.toml, line 1: not valid UTF-8" in refusal(path).message


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("model.poling=mean", "unknown key 'model.poling'", "Did you mean 'pooling'"),
        ("lossess=1", "unknown key 'lossess'", "Did you mean 'losses'"),
        ("losses.0.scle=1", "unknown key 'losses.0.scle'", "Did you mean 'scale'"),
        ("model.converter.layer=1", "unknown key 'model.converter.layer'", "'layers'"),
        ("model.pooling=mena", "expected 'cls', 'mean' or 'mean-unmasked'", "'mean'"),
        ("training.steps=fast", "training.steps: expected a whole number, got 'fast'", None),
        ("training.steps=-1", "greater than or equal to 1", None),
        ("training.learning_rate=inf", "finite", None),
        ("training.seed=true", "expected a whole number", None),
        ("losses.0.use_in_batch_negatives=no", "expected true or false", None),
        ("losses=[]", "at least 1 item", None),
        ("model=3", "model: expected a table", None),
        ("model.query_projection=1.0", "not for architecture = 'hypencoder'", None),
        ("model.architecture=bi-encoder", None, None),
        (
            "model.converter={layers=1, vector_dimensions=[8, 1]}",
            "layers or vector_dimensions",
            None,
        ),
        ("training.epochs=1", "either steps or epochs", None),
        ("training.steps=none", "either steps or epochs", None),
        ("training.cache_encoder=true", "freeze_encoder", None),
        ("losses.0.only_use_first_item=true", "cross_entropy", None),
        ("data.negatives_per_query=0", "at least 1", None),
        ("steps", "expected KEY=VALUE", None),
        ("a b=1", "is no key", None),
    ],
)
def test_what_is_wrong_is_said(
    plain: Path, override: str, message: str | None, hint: str | None
) -> None:
    if message is None:
        assert load_recipe(plain, [override]).model.converter is None
        return
    error = refusal(plain, override)
    assert message in error.message
    assert hint is None or hint in str(error.hint)


def test_an_error_names_the_file_or_override_that_said_it(plain: Path, tmp_path: Path) -> None:
    child = tmp_path / "child.toml"
    child.write_text('extends = "plain.toml"\n[data]\nfoo = 1\n', encoding="utf-8")
    assert refusal(child).message.startswith(f"{child}: unknown key 'data.foo'")
    (tmp_path / "plain.toml").write_text(PLAIN + "[data]\nbar = 1\n", encoding="utf-8")
    assert f"{plain}: unknown key 'data.bar'" in refusal(child).message
    override = "training.batch_size=0"
    assert f"--set {override}: training.batch_size" in refusal(child, override).message


def test_a_file_cannot_trust_code(plain: Path) -> None:
    plain.write_text(PLAIN.replace("[model]", "[model]\ntrust_code = true"), encoding="utf-8")
    error = refusal(plain)
    assert "cannot be set in a file" in error.message
    assert error.hint == "--set model.trust_code=true"


def test_random_negatives_need_a_loss_that_sees_them() -> None:
    values = {
        "name": "x",
        "losses": [{"type": "margin_mse"}],
        "training": {"steps": 1},
        "data": {"random_negatives": 3},
    }
    with pytest.raises(RecipeError, match="in-batch cross_entropy"):
        resolve_recipe(values)
