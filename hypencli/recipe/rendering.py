"""Render a resolved recipe: as TOML that can be loaded again, or as a list of its fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic.fields import FieldInfo

from hypencli.errors import RecipeError
from hypencli.recipe.schema import Recipe
from hypencli.recipe.section import Section

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_WRITTEN_BY_OVERRIDE_ONLY = {"trust_code"}


@dataclass(frozen=True)
class FieldDescription:
    """Description of one field of a recipe.

    Attributes:
        key: Dotted path, as ``--set`` takes it.
        value: Value in the recipe, or the default.
        changed: Whether the value differs from the default.
        expected: Type and bounds in words.
        meaning: Purpose of the field.
    """

    key: str
    value: Any
    changed: bool
    expected: str
    meaning: str


def describe(recipe: Recipe) -> list[FieldDescription]:
    """Describe every field of the recipe in the order of the sections."""
    return list(_describe(recipe, prefix=""))


def _describe(section: Section, *, prefix: str) -> Iterator[FieldDescription]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        key = f"{prefix}{name}"
        if isinstance(value, Section):
            yield from _describe(value, prefix=f"{key}.")
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            for i, each in enumerate(value):
                yield from _describe(each, prefix=f"{key}.{i}.")
        else:
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            changed = field.is_required() or value != default
            expected = _choices(field) or _expected(field.annotation, field.metadata)
            yield FieldDescription(key, value, changed, expected, field.description or "")


def _choices(field: FieldInfo) -> str | None:
    """Return the names that a field declares as choices; installed packages may add more."""
    extra = field.json_schema_extra
    names = extra.get("choices") if isinstance(extra, dict) else None
    return " | ".join(map(str, names)) if isinstance(names, list) else None


def _expected(annotation: Any, metadata: list[Any]) -> str:
    choices = [each for each in get_args(annotation) if each is not type(None)]
    if choices and all(isinstance(each, str) for each in choices):
        kind = " | ".join(choices)
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        kind = "table"
    elif type(None) in get_args(annotation):
        kind = f"{_expected(choices[0], [])} or none"
    else:
        kind = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    bounds = [
        f"{sign} {getattr(item, name)}"
        for item in metadata
        for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
        if hasattr(item, name)
    ]
    return ", ".join([kind, *bounds])


def to_toml(recipe: Recipe, *, meanings: bool = False) -> str:
    """Render a recipe as TOML that :func:`hypencli.recipe.load_recipe` loads as an equal recipe.

    Args:
        recipe: A resolved recipe.
        meanings: Whether to add comments with the meaning of each field, and with unset fields.
    """
    lines: list[str] = []
    _write_section(lines, recipe, header="", meanings=meanings)
    return "\n".join(lines).strip("\n") + "\n"


def _write_section(lines: list[str], section: Section, *, header: str, meanings: bool) -> None:
    if header:
        lines += ["", header]
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if (
            _is_nested(value)
            or _section_field(field.annotation)
            or name in _WRITTEN_BY_OVERRIDE_ONLY
        ):
            continue
        if meanings:
            lines.append(f"# {field.description}")
        if value is not None:
            lines.append(f"{name} = {toml_value(value)}")
        elif meanings:
            lines.append(f"# {name} =")
    _write_nested(lines, section, header=header, meanings=meanings)


def _write_nested(lines: list[str], section: Section, *, header: str, meanings: bool) -> None:
    prefix = f"{header.strip('[]')}." if header else ""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            _write_section(lines, value, header=f"[{prefix}{name}]", meanings=meanings)
        elif _is_nested(value):
            for each in value:
                _write_section(lines, each, header=f"[[{prefix}{name}]]", meanings=meanings)


def _section_field(annotation: Any) -> bool:
    return any(
        isinstance(each, type) and issubclass(each, Section)
        for each in (annotation, *get_args(annotation))
    )


def _is_nested(value: object) -> bool:
    return isinstance(value, Section) or (
        isinstance(value, tuple) and bool(value) and isinstance(value[0], Section)
    )


def toml_value(value: Any) -> str:
    """Render a value as TOML.

    Raises:
        RecipeError: The value contains None, which TOML cannot express.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _toml_string(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_toml_key(key)} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(toml_value(each) for each in value)}]"
    if value is None:
        raise RecipeError("A recipe with null among its options cannot be written as TOML.")
    return repr(value)


def _toml_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _toml_string(key)


def _toml_string(text: str) -> str:
    # A TOML basic string is a JSON string, except that DEL must be escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
