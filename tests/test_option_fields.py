"""Options that a part declares: read from texts, checked, and told."""

from __future__ import annotations

import doctest
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from hypencli import option_fields
from hypencli.errors import UsageError
from hypencli.option_fields import describe_options, parse_options


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part with an option of each type, and two fields that are none."""

    kind: ClassVar[str] = "part"

    steps: Annotated[int, Field(ge=1, le=9, description="how often")] = 3
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False, description="how fast")] = 0.5
    loud: Annotated[bool, Field(description="whether it is told")] = False
    how: Annotated[str, Field(description="in which way")] = "plainly"
    seed: int = 7


@dataclass(frozen=True)
class Named:
    """A part with an option that must be set."""

    name: Annotated[str, Field(description="what it is called")]


def test_the_example_runs() -> None:
    result = doctest.testmod(option_fields)
    assert (result.attempted, result.failed) == (4, 0)


def test_options_are_the_fields_that_are_annotated() -> None:
    told = [(one.name, one.default, one.value) for one in describe_options(Part)]
    assert told == [
        ("steps", 3, "a whole number, at least 1 and at most 9"),
        ("rate", 0.5, "a number, above 0"),
        ("loud", False, "true or false"),
        ("how", "plainly", "text"),
    ]


def test_texts_are_read_as_the_types_of_the_options() -> None:
    texts = {"steps": "4", "rate": "2", "loud": "true", "how": "a=b"}
    wanted = Part(steps=4, rate=2.0, loud=True, how="a=b")
    assert parse_options(Part, texts, of="the part") == wanted


def test_values_of_the_right_types_pass() -> None:
    assert parse_options(Part, {"rate": 2, "steps": 9}, of="the part") == Part(rate=2, steps=9)
    assert parse_options(Part, {}, of="the part") == Part()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": 0}, "steps=0 is not a value for the part: expected is a whole number, at least"),
        ({"steps": 10}, "steps=10"),
        ({"steps": 2.5}, "steps=2.5"),
        ({"steps": True}, "steps=True"),
        ({"steps": "many"}, "steps=many"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"rate": "inf"}, "rate=inf"),
        ({"rate": 0}, "expected is a number, above 0"),
        ({"loud": 1}, "expected is true or false"),
        ({"how": 3}, "expected is text"),
        ({"seed": 3}, "The part has no option 'seed'"),
        ({"step": 3}, "Did you mean 'steps'"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(Part, values, of="the part")
    assert words in str(caught.value)


def test_an_option_without_a_default_must_be_set() -> None:
    with pytest.raises(UsageError, match="The part needs the option name") as caught:
        parse_options(Named, {}, of="the part")
    assert "what it is called" in str(caught.value.hint)
