"""Options of engines: read from text, held to their bounds, described from their fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import Field

from hypencli.engine.registry.options import describe_options, parse_options
from hypencli.errors import UsageError


@dataclass(frozen=True)
class Options:
    run: Annotated[str, Field(description="a run")]
    count: Annotated[int, Field(ge=1, le=9, description="how many")] = 3
    share: Annotated[float, Field(gt=0, description="how much")] = 0.5
    limit: Annotated[int | None, Field(ge=1, description="at most")] = None
    fast: Annotated[bool, Field(description="in a hurry")] = False
    kind: Annotated[Literal["a", "b"], Field(description="of what kind")] = "a"


def parse(**values: object) -> Options:
    return parse_options(Options, {"run": "first", **values}, of="mine")


def test_text_is_read_as_the_type_of_the_option() -> None:
    read = parse(count="4", share="1e-3", limit="7", fast="true", kind="b")
    assert read == Options("first", 4, 0.001, 7, True, "b")


def test_values_are_taken_as_they_are_and_the_rest_is_the_default() -> None:
    assert parse(count=4, share=1, limit=None, fast=True) == Options("first", 4, 1.0, None, True)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", "0", "a whole number, at least 1 and at most 9"),
        ("count", 10, "at most 9"),
        ("count", "1.5", "a whole number"),
        ("count", True, "a whole number"),
        ("count", 2.0, "a whole number"),
        ("share", "0", "a number, above 0"),
        ("share", "nan", "a number"),
        ("limit", "0", "at least 1"),
        ("fast", "perhaps", "true or false"),
        ("kind", "c", "one of a, b"),
        ("run", 3, "text"),
    ],
)
def test_a_wrong_value_says_name_value_bounds_and_default(
    name: str, value: object, expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse(**{name: value})
    assert f"{name}={value} is not a value for the engine mine" in caught.value.message
    assert expected in caught.value.message
    default = {option.name: option.default for option in describe_options(Options)}[name]
    says = "must be set" if name == "run" else "not set" if default is None else f"{default} by"
    assert says in str(caught.value.hint)


def test_an_unknown_option_and_one_that_is_missing() -> None:
    with pytest.raises(UsageError, match="no option 'cuont'") as caught:
        parse(cuont=3)
    assert "Did you mean 'count'" in str(caught.value.hint)
    with pytest.raises(UsageError, match="mine needs the option run"):
        parse_options(Options, {}, of="mine")


def test_options_are_described_in_order() -> None:
    described = describe_options(Options)
    assert [option.name for option in described] == [
        *("run", "count", "share", "limit", "fast", "kind")
    ]
    assert [option.required for option in described] == [True] + [False] * 5
    assert described[1].value == "a whole number, at least 1 and at most 9"
    assert described[1].help == "how many"
