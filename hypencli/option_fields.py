"""Options declared as fields of a frozen dataclass, with bounds and help in their annotations.

Engines, losses and graph builders declare their options in this way. Only fields whose annotation
has a ``Field`` are options. A declaration::

    @dataclass(frozen=True)
    class Walk:
        steps: Annotated[int, Field(ge=1, description="steps of the walk")] = 10

The command line, recipes and the documentation derive from these fields. The options of a loss:

>>> from hypencli.models.losses.cross_entropy import CrossEntropy
>>> parse_options(CrossEntropy, {"scale": "0.5"}, of="the loss cross_entropy")
CrossEntropy(scale=0.5, use_in_batch_negatives=True, only_use_first_item=False)
>>> one = describe_options(CrossEntropy)[0]
>>> one.name, one.value, one.default, one.help
('scale', 'a number, above 0', 1.0, 'factor of this loss in the sum')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints

from hypencli.errors import UsageError, did_you_mean

LARGEST = 2**31 - 1
"""Upper bound of the size of whole numbers that users set, in options, arguments and recipes.

Ranks and ``k`` are stored as int32. Descriptions do not mention it.
"""

Options = TypeVar("Options")

_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


@dataclass(frozen=True, slots=True)
class OptionDescription:
    """The description of one option.

    Attributes:
        name: Name of the option.
        value: Accepted values in words, such as ``a whole number, at least 1``.
        default: The default; None if the option has none.
        required: Whether the option must be set.
        help: What the option does.
    """

    name: str
    value: str
    default: object
    required: bool
    help: str


def describe_options(options_type: type) -> list[OptionDescription]:
    """Describe the options that a dataclass declares, in the order of the fields."""
    return [_describe(name, one) for name, one in _option_fields(options_type).items()]


def parse_options(options_type: type[Options], values: Mapping[str, object], *, of: str) -> Options:
    """Build the options from values by name; text is parsed to the type of the option.

    Args:
        options_type: The dataclass.
        values: Name -> value. Other options keep their defaults.
        of: The owner of the options, for error messages: ``the engine exact``.

    Raises:
        UsageError: An option does not exist, a value does not fit its option, or a required option
            is not set.
    """
    known: Mapping[str, _OptionField] = _option_fields(options_type)  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UsageError(
                f"{_capital(of)} has no option {name!r}.",
                hint=did_you_mean(name, known) if known else "It has no options.",
            )
    for name, one in known.items():
        if one.default is MISSING and name not in values:
            raise UsageError(
                f"{_capital(of)} needs the option {name}.", hint=f"{name}: {one.help}."
            )
    return options_type(**{name: _parse(known[name], values[name], of) for name in values})


def option_hints(options_type: type) -> dict[str, Any]:
    """Map the name of each option to its annotation, with bounds and help."""
    hints = get_type_hints(options_type, include_extras=True)
    return {
        one.name: hints[one.name]
        for one in fields(options_type)
        if get_origin(hints[one.name]) is Annotated
    }


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

    hints = option_hints(options_type)
    described = {}
    for one in fields(options_type):
        if one.name not in hints:
            continue
        adapter = TypeAdapter(hints[one.name])
        schema = adapter.json_schema()
        help_text = str(schema.get("description", ""))
        described[one.name] = _OptionField(one.name, adapter, schema, help_text, one.default)
    return described


def _parse(option: _OptionField, value: object, of: str) -> object:
    from pydantic import ValidationError

    try:
        if isinstance(value, str):
            parsed = option.adapter.validate_strings(value)
        else:
            parsed = option.adapter.validate_python(value, strict=True)
        if isinstance(parsed, int) and abs(parsed) > LARGEST:
            raise UsageError(
                f"{option.name} is too large for {of}: {LARGEST:,} is the limit.",
                hint=f"{option.name}: {option.help}; {_default(option)}.",
            )
        return parsed
    except ValidationError as error:
        raise UsageError(
            f"{option.name}={value} is not a value for {of}: expected is {_expected(option)}.",
            hint=f"{option.name}: {option.help}; {_default(option)}.",
        ) from error


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _default(option: _OptionField) -> str:
    if option.default is MISSING:
        return "it must be set"
    return "not set by default" if option.default is None else f"{option.default} by default"


def _describe(name: str, option: _OptionField) -> OptionDescription:
    required = option.default is MISSING
    default = None if required else option.default
    return OptionDescription(name, _expected(option), default, required, option.help)


def _expected(option: _OptionField) -> str:
    """Describe the accepted values of an option in words."""
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
