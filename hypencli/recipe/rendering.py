"""A resolved recipe as text: TOML that loads again, and every field with its meaning."""

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
    """One field of a recipe.

    Attributes:
        key: Dotted path, as ``--set`` takes it.
        value: What the recipe says, or the default.
        changed: Whether that differs from the default.
        expected: The type and bounds in words.
        meaning: What it is for.
    """

    key: str
    value: Any
    changed: bool
    expected: str
    meaning: str


def describe(recipe: Recipe) -> list[FieldDescription]:
    """Every field of the recipe in the order of the sections, with value and meaning."""
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
    """The names that a field takes, where it says them; more may come from installed packages."""
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
    """The recipe as TOML that :func:`hypencli.recipe.load_recipe` reads back to an equal one.

    Args:
        recipe: A resolved recipe.
        meanings: Put the meaning of each field above it, and the unset fields as comments.
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
    """A value as TOML writes it.

    Raises:
        RecipeError: It holds nothing somewhere, for which TOML has no word.
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
    # A TOML basic string is a JSON string, but for DEL, which must be escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
