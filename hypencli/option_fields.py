"""Options that a part of hype declares: their types, defaults, meanings and bounds.

A part (a loss, a builder of graphs) keeps its options in a frozen dataclass whose fields are made
by :func:`option`. Recipes, the command line and documents are derived from those fields:

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True, kw_only=True)
... class Walk:
...     steps: int = option(10, "steps of the walk", ge=1)
>>> checked(Walk, {"steps": 3}, of="walk")
Walk(steps=3)
>>> checked(Walk, named_texts(["steps=0"]), of="walk")
Traceback (most recent call last):
    ...
hypencli.errors.UsageError: walk: steps = 0; expected a whole number >= 1 (steps of the walk).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

from hypencli.errors import UsageError, did_you_mean

T = TypeVar("T")

_META = "option"
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which numbers an option lies; None is no bound."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def hold(self, value: float) -> bool:
        """Whether a number is finite and within the bounds."""
        return (
            math.isfinite(value)
            and (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.lt is None or value < self.lt)
            and (self.le is None or value <= self.le)
        )

    def stated(self) -> dict[str, float]:
        """The bounds that there are, by their names."""
        named = {name: getattr(self, name) for name in _SIGNS}
        return {name: bound for name, bound in named.items() if bound is not None}


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        name: Its name.
        type: ``bool``, ``int``, ``float`` or ``str``.
        default: Its value where none is given.
        help: Its meaning, in some words.
        bounds: Of a number.
    """

    name: str
    type: type
    default: Any
    help: str
    bounds: Bounds

    @property
    def expected(self) -> str:
        """Type and bounds in words."""
        bounds = [f"{_SIGNS[name]} {bound}" for name, bound in self.bounds.stated().items()]
        return " and ".join([" ".join([_KINDS[self.type], *bounds[:1]]), *bounds[1:]])

    def read(self, text: str) -> Any:
        """The value that a text stands for; the text itself where it stands for none."""
        if self.type is bool:
            return {"true": True, "false": False}.get(text.lower(), text)
        try:
            return self.type(text)
        except ValueError:
            return text

    def accepts(self, value: object) -> bool:
        """Whether a value is of the type and within the bounds."""
        if self.type is float and type(value) is int:
            value = float(value)
        if type(value) is not self.type:
            return False
        return not isinstance(value, int | float) or self.bounds.hold(value)


def option(
    default: T,
    help: str,
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
) -> T:
    """A field of a frozen dataclass that users can set.

    Args:
        default: Its value where none is given: a bool, a number or a string.
        help: Its meaning, in some words, without a full stop.
        gt: The value is greater than this.
        ge: The value is at least this.
        lt: The value is less than this.
        le: The value is at most this.
    """
    bounds = Bounds(gt=gt, ge=ge, lt=lt, le=le)
    made: T = field(default=default, metadata={_META: (help, bounds)})
    return made


def options_of(kind: type) -> list[Option]:
    """The options that a dataclass declares, in order."""
    hints = get_type_hints(kind)
    return [
        Option(each.name, hints[each.name], each.default, *each.metadata[_META])
        for each in fields(kind)
        if _META in each.metadata
    ]


def checked(kind: type[T], values: Mapping[str, Any], *, of: str) -> T:
    """An instance of a dataclass with some of its options set.

    Args:
        kind: The dataclass.
        values: Options by name; a text is read as a value of the option's type.
        of: What to call the dataclass in a message.

    Raises:
        UsageError: There is no such option, or a value is of another type or out of bounds.
    """
    known = {each.name: each for each in options_of(kind)}
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"{of}: there is no option {name!r}.", hint=did_you_mean(name, known))
        read[name] = known[name].read(value) if isinstance(value, str) else value
        if not known[name].accepts(read[name]):
            raise UsageError(
                f"{of}: {name} = {value}; expected {known[name].expected} ({known[name].help})."
            )
    return kind(**read)


def named_texts(texts: Sequence[str]) -> dict[str, str]:
    """Options by name from texts ``NAME=VALUE``; a hyphen in a name stands for an underscore.

    Raises:
        UsageError: A text is of another form.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"Option {text!r}: expected NAME=VALUE.")
        values[name.strip().replace("-", "_")] = value.strip()
    return values
