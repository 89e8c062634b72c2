from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from hypencli.recipe import (
    Recipe,
    Section,
    TrainingSection,
    describe,
    load_recipe,
    resolve_recipe,
    to_toml,
)

SECTIONS = Section.__subclasses__()


def minimal(**sections: Any) -> Recipe:
    values = {"name": "x", "losses": [{"type": "cross_entropy"}], "training": {"steps": 1}}
    return resolve_recipe(values | sections)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_has_a_meaning(section: type[Section]) -> None:
    for name, field in section.model_fields.items():
        assert field.description, f"{section.__name__}.{name}"


def test_recipes_are_frozen() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        minimal().training.steps = 3  # type: ignore[misc]


def test_hash_ignores_names_places_and_what_changes_no_weight() -> None:
    here = minimal(model={"backbone": "a"}, data={"train": "x"}, description="one")
    existing = minimal(
        name="y",
        model={"backbone": "b"},
        data={"train": "y"},
        training={"steps": 1, "device": "cpu", "logging_steps": 3},
    )
    assert here.hash == existing.hash
    assert len(here.hash) == 64


def test_identity_holds_what_is_not_by_default_and_nothing_else() -> None:
    """So a field that is added later, with a default, changes no hash."""
    assert minimal(description="x", group="paper").identity() == {
        "losses": [{"type": "cross_entropy"}],
        "training": {"steps": 1},
    }
    changed = minimal(model={"pooling": "cls", "backbone": "b"}, data={"train": "t"}).identity()
    assert changed["model"] == {"pooling": "cls", "converter": {"layers": 6}}
    assert "data" not in changed


def test_a_field_added_with_a_default_changes_no_identity() -> None:
    class Later(TrainingSection):
        momentum: float = Field(0.0, description="added later")

    assert Later(steps=1).identity() == TrainingSection(steps=1).identity() == {"steps": 1}
    assert Later(steps=1, momentum=0.5).identity() == {"steps": 1, "momentum": 0.5}


@pytest.mark.parametrize(
    "places",
    [
        {"model": {"hyper_head_from": "a/b"}},
        {"validation": {"rows": "a.jsonl"}},
        {"data": {"split": "dev", "workers": 2, "random_negatives_from": "c.jsonl"}},
        {"training": {"steps": 1, "save_steps": 7, "max_minutes": 3.0, "report_to": ["wandb"]}},
    ],
)
def test_places_and_conduct_do_not_count(places: dict[str, Any]) -> None:
    """But that there is a validation counts: it may choose the checkpoint."""
    expected = minimal(validation={"rows": "b.jsonl"}) if "validation" in places else minimal()
    assert minimal(**places).hash == expected.hash


def test_where_an_initial_model_lies_does_not_count() -> None:
    here, existing = (minimal(model={"initial": name}) for name in ("one/model", "another"))
    assert here.hash == existing.hash != minimal().hash
    assert here.model.converter is None  # the model brings its own


def test_hash_is_the_same_written_out_or_by_default() -> None:
    short = minimal()
    long = minimal(model={"converter": {"name": "repeated-dense", "layers": 6}})
    assert short.hash == long.hash == resolve_recipe(tomllib.loads(to_toml(short))).hash


def test_hash_is_the_same_in_another_process() -> None:
    script = "import hypencli.recipe as r; print(r.load_recipe('tiny').hash)"
    printed = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    assert printed.strip() == load_recipe("tiny").hash


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"pooling": "mean"}},
        {"model": {"converter": {"layers": 3}}},
        {"model": {"converter": {"options": {"a": 1}}}},
        {"data": {"query_max_length": 65}},
        {"losses": [{"type": "cross_entropy", "scale": 2.0}]},
        {"losses": [{"type": "cross_entropy", "until_step": 5}]},
        {"training": {"steps": 1, "seed": 1}},
        {"training": {"steps": 1, "chunk_size": 4}},
        {"validation": {"rows": "v.jsonl", "every_steps": 5}},
    ],
)
def test_hash_changes_with_what_changes_weights(other: dict[str, Any]) -> None:
    assert minimal(**other).hash != minimal().hash


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: t != "none")
number = st.floats(min_value=1e-9, max_value=1e9)
option = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


@given(
    description=text,
    backbone=st.none() | text,
    rate=number,
    rates=st.dictionaries(text, number, max_size=3),
    options=st.dictionaries(text, option, max_size=3),
    widths=st.none() | st.lists(st.integers(1, 999), min_size=2, max_size=4),
    meanings=st.booleans(),
)
def test_toml_round_trip(
    description: str,
    backbone: str | None,
    rate: float,
    rates: dict[str, float],
    options: dict[str, Any],
    widths: list[int] | None,
    meanings: bool,
) -> None:
    recipe = minimal(
        description=description,
        model={
            "backbone": backbone,
            "converter": {"options": options, "vector_dimensions": widths},
        },
        training={"epochs": 0.5, "learning_rate": rate, "learning_rates": rates},
    )
    again = resolve_recipe(tomllib.loads(to_toml(recipe, meanings=meanings)))
    assert again == recipe
    assert again.hash == recipe.hash


def test_toml_of_a_bi_encoder_loads_again(tmp_path: Path) -> None:
    recipe = minimal(
        model={"architecture": "bi-encoder", "query_projection": 20.0},
        losses=[{"type": "margin_mse"}, {"type": "cross_entropy"}],
    )
    path = tmp_path / "again.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(path) == recipe


def test_describe_gives_value_meaning_and_bounds() -> None:
    fields = {field.key: field for field in describe(load_recipe("tiny"))}
    steps = fields["training.steps"]
    assert (steps.value, steps.changed, steps.expected) == (20, True, "int or none, >= 1")
    assert not fields["data.positives"].changed
    assert fields["data.positives"].expected == "first | type | score_above"
    assert fields["losses.1.type"].value == "cross_entropy"
    validation = fields["validation"]
    assert (validation.value, validation.expected) == (None, "table or none")
    watched = {field.key for field in describe(minimal(validation={"rows": "v.jsonl"}))}
    assert "validation.rows" in watched
    assert "validation" not in watched


def test_recipe_imports_only_errors_and_the_registry_of_losses() -> None:
    folder = Path(sys.modules[Recipe.__module__].__file__ or "").parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in filter(None, names):
                allowed = not name.startswith("hypencli") or name.startswith(
                    (
                        "hypencli.recipe",
                        "hypencli.errors",
                        "hypencli.models.losses",
                        "hypencli.option_fields",
                        "hypencli.paths",
                    )
                )
                assert allowed, f"{path.name} imports {name}"


def test_reading_recipes_loads_nothing_heavy() -> None:
    script = (
        "import sys, hypencli.recipe as r; r.load_recipe('tiny')\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pyarrow', 'duckdb'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
