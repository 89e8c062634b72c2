"""Options of an engine: fields of a frozen dataclass, with bounds and help in their annotations.

For example ``candidates: Annotated[int, Field(ge=1, description="documents of a step")] = 64``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, TypeVar, get_type_hints

from hypencli.errors import UsageError, did_you_mean

LARGEST = 2**31 - 1
"""The upper bound of whole numbers that have no other; descriptions leave it out."""

Options = TypeVar("Options")

_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


@dataclass(frozen=True, slots=True)
class OptionDescription:
    """One option of an engine, for people.

    Attributes:
        name: Its name.
        value: What is expected, such as ``a whole number, at least 1``.
        default: Its value where nothing is set; None where the engine decides, or the option must
            be set.
        required: Whether it must be set.
        help: What it does.
    """

    name: str
    value: str
    default: object
    required: bool
    help: str


def describe_options(options_type: type) -> list[OptionDescription]:
    """The options of an engine, in the order of the fields."""
    return [_describe(name, one) for name, one in _option_fields(options_type).items()]


def parse_options(options_type: type[Options], values: Mapping[str, object], *, of: str) -> Options:
    """Options from values by name; text is read as the type of the option.

    Args:
        options_type: The dataclass.
        values: Name -> value; options that are not named keep their defaults.
        of: The engine, for errors.

    Raises:
        UsageError: There is no option of that name, a value does not fit its option, or an option
            that must be set is not.
    """
    known: Mapping[str, _OptionField] = _option_fields(options_type)  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UsageError(
                f"The engine {of} has no option {name!r}.",
                hint=did_you_mean(name, known) if known else "It has no options.",
            )
    for name, one in known.items():
        if one.default is MISSING and name not in values:
            raise UsageError(
                f"The engine {of} needs the option {name}.", hint=f"{name}: {one.help}."
            )
    return options_type(**{name: _parse(known[name], values[name], of) for name in values})


@dataclass(frozen=True, slots=True)
class _OptionField:
    name: str
    adapter: Any
    schema: Mapping[str, Any]
    help: str
    default: object


@cache
def _option_fields(options_type: type) -> dict[str, _OptionField]:
    from pydantic import TypeAdapter

    hints = get_type_hints(options_type, include_extras=True)
    described = {}
    for one in fields(options_type):
        adapter = TypeAdapter(hints[one.name])
        schema = adapter.json_schema()
        help_text = str(schema.get("description", ""))
        described[one.name] = _OptionField(one.name, adapter, schema, help_text, one.default)
    return described


def _parse(option: _OptionField, value: object, of: str) -> object:
    from pydantic import ValidationError

    try:
        if isinstance(value, str):
            return option.adapter.validate_strings(value)
        return option.adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise UsageError(
            f"{option.name}={value} is not a value for the engine {of}: expected is "
            f"{_expected(option)}.",
            hint=f"{option.name}: {option.help}; {_default(option)}.",
        ) from error


def _default(option: _OptionField) -> str:
    if option.default is MISSING:
        return "it must be set"
    return "not set by default" if option.default is None else f"{option.default} by default"


def _describe(name: str, option: _OptionField) -> OptionDescription:
    required = option.default is MISSING
    default = None if required else option.default
    return OptionDescription(name, _expected(option), default, required, option.help)


def _expected(option: _OptionField) -> str:
    """What values an option takes, in words."""
    kinds = option.schema.get("anyOf", [option.schema])
    schema = next(kind for kind in kinds if kind.get("type") != "null")
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    bounds = [
        f"{words} {schema[key]:g}"
        for key, words in _BOUNDS.items()
        if schema.get(key, LARGEST) != LARGEST
    ]
    kind = _KINDS.get(schema.get("type", ""), "text")
    return ", ".join([kind, " and ".join(bounds)] if bounds else [kind])
