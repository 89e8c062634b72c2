"""Options that a part declares: read from texts, checked, and told."""

from __future__ import annotations

import doctest
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from hypencli import option_fields
from hypencli.errors import UsageError
from hypencli.option_fields import checked, named_texts, option, options_of


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part with an option of each type, and two fields that are none."""

    kind: ClassVar[str] = "part"

    steps: int = option(3, "how often", ge=1, lt=10)
    rate: float = option(0.5, "how fast", gt=0)
    loud: bool = option(False, "whether it is told")
    how: str = option("plainly", "in which way")
    seed: int = 7


def test_the_example_runs() -> None:
    result = doctest.testmod(option_fields)
    assert (result.attempted, result.failed) == (4, 0)


def test_options_are_the_fields_made_by_option() -> None:
    told = [(one.name, one.default, one.expected) for one in options_of(Part)]
    assert told == [
        ("steps", 3, "a whole number >= 1 and < 10"),
        ("rate", 0.5, "a number > 0"),
        ("loud", False, "true or false"),
        ("how", "plainly", "a word"),
    ]


def test_texts_are_read_as_the_types_of_the_options() -> None:
    texts = ["steps=4", "rate = 2", "loud=True", "how=a=b"]
    assert checked(Part, named_texts(texts), of="part") == Part(
        steps=4, rate=2.0, loud=True, how="a=b"
    )
    assert named_texts(["two-words=1"]) == {"two_words": "1"}


def test_values_of_the_right_types_pass() -> None:
    assert checked(Part, {"rate": 2, "steps": 9}, of="part") == Part(rate=2, steps=9)
    assert checked(Part, {}, of="part") == Part()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": 0}, "part: steps = 0; expected a whole number >= 1 and < 10 (how often)"),
        ({"steps": 10}, "steps = 10"),
        ({"steps": 2.0}, "steps = 2.0"),
        ({"steps": True}, "steps = True"),
        ({"steps": "many"}, "steps = many"),
        ({"rate": float("nan")}, "rate = nan"),
        ({"rate": "inf"}, "rate = inf"),
        ({"rate": 0}, "expected a number > 0"),
        ({"loud": 1}, "expected true or false"),
        ({"loud": "yes"}, "expected true or false"),
        ({"how": 3}, "expected a word"),
        ({"seed": 3}, "there is no option 'seed'"),
        ({"step": 3}, "Did you mean 'steps'"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked(Part, values, of="part")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["steps", "", "steps:4"])
def test_a_text_without_a_value_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        named_texts([text])
