"""Recipes and replications broken in every field, by their schemas: a new field is among them.

Every field gets values of wrong types and, where it has bounds, of values beyond them: each is a
``RecipeError`` that names the file and the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest

from hypencli.errors import RecipeError
from hypencli.recipe import Recipe, load_recipe
from hypencli.recipe.replication import Replication, load_replication
from hypencli.recipe.section import Section
from tests.conftest import Hype

RECIPE = 3

TRAINING = """
extends = "tiny"
[validation]
rows = "v.jsonl"
[model.converter]
name = "repeated-dense"
"""

TABLE = """
measures = ["nDCG@10"]
[models.mine]
source = "mine"
[datasets.first]
queries = "first.jsonl"
[datasets.other]
queries = "other.jsonl"
[pools.both]
datasets = ["first", "other"]
[searches.exact]
engine = "exact"
[encoding]
[graph]
[published]
source = "a paper"
[[published.figures]]
model = "mine"
dataset = "first"
values = {"nDCG@10" = 0.5}
"""

TOML = {"true": bool, '"text"': str, "7": int, "0.5": float, "[[1]]": list, "1979-05-27": object}
"""A value of each type of TOML, but for tables."""

Case = tuple[str, str]


def optional_inside(annotation: Any) -> list[Any]:
    """The types that a field may have, each by itself."""
    if get_origin(annotation) in (Union, type(int | str)):
        return [kind for kind in get_args(annotation) if kind is not type(None)]
    return [annotation]


def fields(kind: type[Section], prefix: str, names: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Every field of a file with its key, down to the last table."""
    for name, field in kind.model_fields.items():
        key = f"{prefix}{name}"
        yield key, field
        for candidate in optional_inside(field.annotation):
            inner = next(
                (
                    each
                    for each in (candidate, *get_args(candidate))
                    if isinstance(each, type) and issubclass(each, Section)
                ),
                None,
            )
            if inner is not None:
                entry = {dict: f"{names.get(key)}.", tuple: "0."}.get(get_origin(candidate), "")
                yield from fields(inner, f"{key}.{entry}", names)


def wrong_types(field: Any) -> Iterator[str]:
    """Values in TOML of types that the field does not have."""
    kinds = optional_inside(field.annotation)
    plain = {
        type(value)
        for kind in kinds
        for value in (get_args(kind) if get_origin(kind) is Literal else ())
    }
    allowed = {kind for kind in kinds if isinstance(kind, type)} | plain
    for written, kind in TOML.items():
        if kind in allowed or (kind is int and float in allowed):
            continue
        yield written
    yield "nan" if float in allowed else "{1 = 2}" if dict not in map(get_origin, kinds) else "3"


def beyond_bounds(field: Any) -> Iterator[str]:
    """Values of the right type that the field's own bounds do not allow."""
    for bound in field.metadata:
        if getattr(bound, "ge", None) is not None:
            yield str(bound.ge - 1)
        if getattr(bound, "gt", None) is not None:
            yield str(bound.gt)
        if getattr(bound, "le", None) is not None:
            yield str(bound.le + 1)
        if getattr(bound, "lt", None) is not None:
            yield str(bound.lt)
        if getattr(bound, "min_length", None):
            kinds = optional_inside(field.annotation)
            if dict not in map(get_origin, kinds):  # tables are joined: an empty one takes nothing
                yield '""' if str in kinds else "[]"
    if Literal in map(get_origin, optional_inside(field.annotation)):
        yield '"no such choice"'


def cases(kind: type[Section], names: dict[str, str]) -> list[Case]:
    return [
        (key, value)
        for key, field in fields(kind, "", names)
        for value in (*wrong_types(field), *beyond_bounds(field))
    ]


TRAINING_CASES = cases(Recipe, {})
TABLE_NAMES = {
    "models": "mine",
    "datasets": "first",
    "pools": "both",
    "searches": "exact",
}
TABLE_CASES = cases(Replication, TABLE_NAMES)


def test_the_cases_reach_every_table() -> None:
    keys = {key for key, _ in TRAINING_CASES}
    assert {"name", "model.converter.layers", "losses.0.scale", "validation.patience"} <= keys
    assert {key for key, _ in fields(Recipe, "", {})} == keys
    keys = {key for key, _ in TABLE_CASES}
    assert {"models.mine.source", "published.figures.0.values", "graph.k"} <= keys
    assert {key for key, _ in fields(Replication, "", TABLE_NAMES)} == keys


def refused(load: Callable[..., object], path: Path, key: str, value: str) -> str | None:
    """What is said of one broken field; None where it was taken."""
    try:
        load(path, [f"{key}={value}"])
    except RecipeError as error:
        return error.message
    return None


@pytest.mark.parametrize("which", ["recipe", "replication"])
def test_every_field_refuses_what_it_does_not_hold_and_is_named(which: str, tmp_path: Path) -> None:
    """In one test, as they are some hundred of a millisecond each; all that are wrong are told."""
    content, selected, load = {
        "recipe": (TRAINING, TRAINING_CASES, load_recipe),
        "replication": (TABLE, TABLE_CASES, load_replication),
    }[which]
    path = tmp_path / "broken.toml"
    path.write_text(content, encoding="utf-8")
    load(path)  # it is the case that breaks it, and nothing else
    said = {(key, value): refused(load, path, key, value) for key, value in selected}
    taken = [case for case, message in said.items() if message is None]
    assert taken == []
    unnamed = [case for case, message in said.items() if case[0].split(".")[-1] not in message]
    assert unnamed == []
    assert len(said) > 100


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'description = "x\n', "not TOML"),
        (b"[training]\nsteps = \n", "line 2"),
        (b"[training]\nsteps = 1\nsteps = 2\n", "line 3"),
        (b"[training]\nstepz = 1\n", "unknown key 'training.stepz'"),
        (b"[training]\nsteps = " + b"9" * 5000, "not TOML"),
        (b"[training]\nsteps = " + b"[" * 20_000, "not TOML"),
        (b"[training]\nsteps = 1\n# \xff\n", "line 3: not valid UTF-8"),
        (b'description = "a\x00b"', "not TOML"),
        (b"extends = 3\n", "extends: expected the name or path"),
        (b'"' + b"k" * 9_000 + b'" = 1\n', "unknown key"),
        (b"", "missing"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_through_train(
    content: bytes, words: str, tmp_path: Path, hype_in_bench: Hype
) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    outcome = hype_in_bench("train", path)
    assert outcome.code == RECIPE
    assert str(path) in outcome.err
    assert words in outcome.err
    assert len(outcome.err) < 4_000


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 20_000])
def test_an_override_that_no_parser_takes_is_refused(value: str, hype_in_bench: Hype) -> None:
    outcome = hype_in_bench("train", "tiny", "--set", f"training.steps={value}")
    assert outcome.code == RECIPE
    assert "training.steps" in outcome.err


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_and_crlf_are_no_part_of_a_recipe(mark: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(mark + b'extends = "tiny"\r\n[training]\r\nsteps = 9\r\n')
    assert load_recipe(path).training.steps == 9


@pytest.mark.parametrize("key", ["training.steps", "training.seed", "data.query_max_length"])
def test_a_number_that_no_column_holds_is_refused(key: str) -> None:
    with pytest.raises(RecipeError, match=f"{key}: .*too large: 2,147,483,647"):
        load_recipe("tiny", [f"{key}={10**30}"])
