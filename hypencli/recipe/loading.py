"""Load recipes: find files, join extended files, apply overrides, and report errors."""

from __future__ import annotations

import codecs
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hypencli.errors import RecipeError, did_you_mean
from hypencli.paths import is_file, user_path
from hypencli.recipe.schema import Group, Recipe
from hypencli.recipe.section import Section

Table: TypeAlias = dict[str, Any]
KeyPath: TypeAlias = tuple[str, ...]
Kind = TypeVar("Kind", bound=Section)
"""Type of the loaded file: a training recipe or a replication."""

_OVERRIDE = "--set"
_RELATIVE = {
    ("data", "train"),
    ("data", "random_negatives_from"),
    ("model", "backbone"),
    ("model", "initial"),
    ("model", "hyper_head_from"),
    ("perturb", "words"),
    ("perturb", "model"),
    ("validation", "rows"),
    ("validation", "queries"),
    ("validation", "corpus"),
    ("validation", "qrels"),
}
_RELATIVE_IN_EACH = {
    "datasets": ("queries", "corpus", "qrels", "lists", "changed_queries", "changed_qrels"),
    "models": ("source", "backbone"),
}
"""Keys with relative paths in sections that hold one table per name."""
_EXPECTED = {
    "bool_type": "expected true or false",
    "dict_type": "expected a table",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "model_type": "expected a table",
    "string_type": "expected a string",
    "tuple_type": "expected an array",
}
"""Error type of pydantic -> expected type in TOML words. Other messages of pydantic stay."""
_SHOWN = 300
"""Maximum number of characters of a file or override that a message shows."""
_ONLY_BY_OVERRIDE = ("model", "trust_code")


@dataclass(frozen=True)
class RecipeSummary:
    """Summary of a shipped recipe."""

    name: str
    path: Path
    description: str
    group: str | None


@dataclass
class _Joined:
    """Joined values, and the file or override that each one comes from."""

    values: Table = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: KeyPath, *, default: str) -> str:
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path[:-1]
        return default


def recipes_folder() -> Path:
    """Return the folder of shipped recipes: in an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def list_recipes() -> list[RecipeSummary]:
    """List the shipped recipes by group and name; those without a group come last.

    Raises:
        RecipeError: A recipe cannot be read.
    """
    summaries = []
    for path in sorted(recipes_folder().glob("*.toml"), key=lambda path: path.stem):
        values = _with_parents(path, chain=(), folder=path.parent).values
        description = str(values.get("description", ""))
        summaries.append(RecipeSummary(path.stem, path, description, values.get("group")))
    order: tuple[str, ...] = get_args(Group)
    return sorted(summaries, key=lambda one: (*order, one.group).index(one.group))


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe: join what it extends, apply overrides, and validate the result.

    Args:
        name_or_path: Name of a shipped recipe, or path of a TOML file.
        overrides: Overrides ``key.path=value``, whose values are TOML or bare strings. Later ones
            take precedence. Elements of an array of tables are numbered from 0
            (``losses.0.scale=2``).

    Raises:
        RecipeError: The recipe does not exist, is not TOML (the message names the line), extends
            itself, has an unknown key, or has a value out of bounds. The message names the file or
            override.
    """
    return load_section(Recipe, find_recipe(name_or_path), overrides, folder=recipes_folder())


def load_section(
    kind: type[Kind], path: Path, overrides: Sequence[str] = (), *, folder: Path
) -> Kind:
    """Load a file of any kind; see :func:`load_recipe`.

    Args:
        kind: Type of the file.
        path: The file.
        overrides: Overrides ``key.path=value``.
        folder: Folder in which extended recipes are found by name.

    Raises:
        RecipeError: The file cannot be loaded; see :func:`load_recipe`.
    """
    joined = _with_parents(path, chain=(), folder=folder)
    for override in overrides:
        _join(joined, _parse_override(override), source=f"{_OVERRIDE} {override}")
    joined.values.setdefault("name", path.stem)
    return _validated(joined, kind, source=str(path))


def resolve_recipe(values: Mapping[str, Any], *, source: str = "recipe") -> Recipe:
    """Validate a recipe from nested mappings, as ``tomllib`` returns them.

    Raises:
        RecipeError: The recipe is not valid; see :func:`load_recipe`. The message names ``source``
            instead of a file.
    """
    joined = _Joined()
    _join(joined, dict(values), source=source)
    return _validated(joined, Recipe, source=source)


def find_recipe(name_or_path: str | Path, *, folder: Path | None = None) -> Path:
    """Find the file of a recipe.

    A name with a folder or the ending ``.toml`` is a path. Other names are those of shipped
    recipes.

    Args:
        name_or_path: Name or path from the user.
        folder: Folder for names; None selects the folder of training recipes.

    Raises:
        RecipeError: The file or name does not exist; the message lists the searched places.
    """
    folder = recipes_folder() if folder is None else folder
    text = os.fspath(name_or_path)
    if text.endswith(".toml") or Path(text).name != text:
        path = user_path(text)
        if not is_file(path):
            raise RecipeError(f"No recipe file {path}.", hint=_names_hint(path.stem, folder))
        return path
    path = folder / f"{text}.toml"
    if not is_file(path):
        raise RecipeError(f"No recipe {text!r} in {folder}.", hint=_names_hint(text, folder))
    return path


def _names_hint(name: str, folder: Path) -> str:
    names = [path.stem for path in folder.glob("*.toml")]
    return f"{did_you_mean(name, names)} A path ends in .toml."


def _read_toml(path: Path) -> Table:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from error
    try:
        return tomllib.loads(content.removeprefix(codecs.BOM_UTF8).decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"{path}, line {line}: not valid UTF-8.",
            hint="Convert it first: iconv -f LATIN1 -t UTF-8 FILE",
        ) from error
    except (ValueError, RecursionError) as error:
        # The message of the parser ends in "(at line 3, column 5)". Too long numbers and too deep
        # nesting raise other errors of Python.
        raise RecipeError(f"{path}: not TOML: {_short(str(error))}") from error


def _with_parents(path: Path, *, chain: tuple[Path, ...], folder: Path) -> _Joined:
    here = path.resolve()
    if here in chain:
        circle = " -> ".join(str(each) for each in (*chain[chain.index(here) :], here))
        raise RecipeError(f"{path}: extends itself: {circle}.")
    values = _read_toml(path)
    parent = values.pop("extends", None)
    if parent is None:
        joined = _Joined()
    elif isinstance(parent, str):
        joined = _with_parents(
            _parent_path(path, parent, folder), chain=(*chain, here), folder=folder
        )
        joined.values.pop("name", None)
    else:
        raise RecipeError(
            f"{path}: extends: expected the name or path of a recipe, got {_short(repr(parent))}."
        )
    section, key = _ONLY_BY_OVERRIDE
    if isinstance(values.get(section), dict) and key in values[section]:
        raise RecipeError(
            f"{path}: {section}.{key} cannot be set in a file: whoever runs the recipe decides.",
            hint=f"{_OVERRIDE} {section}.{key}=true",
        )
    _anchor(values, folder=path.parent)
    _join(joined, values, source=str(path))
    return joined


def _parent_path(path: Path, parent: str, folder: Path) -> Path:
    if not parent.endswith(".toml"):
        return find_recipe(parent, folder=folder)
    beside = path.parent / parent
    if not is_file(beside):
        raise RecipeError(f"{path}: extends: no recipe file {beside}.")
    return beside


def _anchor(values: Table, *, folder: Path) -> None:
    """Resolve paths that begin with ``./`` or ``../`` from the folder of the recipe."""
    for section, key in _RELATIVE:
        _anchor_key(values.get(section), key, folder)
    for section, keys in _RELATIVE_IN_EACH.items():
        tables = values.get(section)
        for table in tables.values() if isinstance(tables, dict) else ():
            for key in keys:
                _anchor_key(table, key, folder)


def _anchor_key(table: object, key: str, folder: Path) -> None:
    place = table.get(key) if isinstance(table, dict) else None
    if isinstance(table, dict) and isinstance(place, str) and place.startswith(("./", "../")):
        table[key] = os.path.normpath(folder.absolute() / place)


def _parse_override(text: str) -> Table:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"{_OVERRIDE} {text}: expected KEY=VALUE, as in training.steps=100.")
    try:
        parsed = tomllib.loads(text)
        if len(parsed) == 1 and "\n" not in text:
            return parsed
    except (ValueError, RecursionError):
        pass  # not a TOML value: a bare string, which is what paths and names are
    try:
        nested = tomllib.loads(f"{key} = 0")
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"{_OVERRIDE} {_short(text)}: {_short(repr(key.strip()))} is no key: "
            f"{_short(str(error))}"
        ) from error
    table = nested
    while isinstance(inner := next(iter(table.values())), dict):
        table = inner
    table[next(iter(table))] = value.strip()
    return nested


def _join(joined: _Joined, values: Table, *, source: str) -> None:
    _join_table(joined.values, values, joined.origins, prefix=(), source=source)


def _join_table(
    below: Table, above: Table, origins: dict[KeyPath, str], *, prefix: KeyPath, source: str
) -> None:
    """Join tables key by key; any other value replaces the value of the extended recipe."""
    for key, value in above.items():
        path = (*prefix, key)
        old = below.get(key)
        if isinstance(old, list) and _is_by_index(value, len(old)):
            entries = {str(i): item for i, item in enumerate(old)}
            _join_table(entries, value, origins, prefix=path, source=source)
            below[key] = list(entries.values())
        elif isinstance(value, dict):
            inner = dict(old) if isinstance(old, dict) else {}
            if not isinstance(old, dict):
                _forget(origins, path)
                origins[path] = source
            _join_table(inner, value, origins, prefix=path, source=source)
            below[key] = inner
        else:
            below[key] = value
            _forget(origins, path)
            origins[path] = source


def _forget(origins: dict[KeyPath, str], path: KeyPath) -> None:
    for stale in [origin for origin in origins if origin[: len(path)] == path]:
        del origins[stale]


def _is_by_index(value: object, length: int) -> bool:
    return isinstance(value, dict) and all(
        key.isdigit() and str(int(key)) == key and int(key) < length for key in value
    )


def _validated(joined: _Joined, kind: type[Kind], *, source: str) -> Kind:
    try:
        return kind.model_validate(joined.values)
    except ValidationError as error:
        problems = [
            _problem(detail, joined, kind, source=source)
            for detail in error.errors(include_url=False, include_context=True)
        ]
    message = "\n".join(text for text, _ in problems)
    hints = [hint for _, hint in problems if hint]
    raise RecipeError(message, hint=hints[0] if hints else None)


def _problem(
    detail: ErrorDetails, joined: _Joined, kind: type[Section], *, source: str
) -> tuple[str, str | None]:
    """Return the message of a validation error, and a hint if there is one."""
    path: KeyPath = tuple(str(part) for part in detail["loc"] if part != "[key]")
    where = _short(joined.origin(path, default=source))
    key = _short(".".join(path)) or "the recipe"
    value = _short(repr(detail["input"]))
    if detail["type"] == "extra_forbidden":
        keys = _known_keys(kind, path[:-1])
        return f"{where}: unknown key {key!r}.", did_you_mean(path[-1][:_SHOWN], keys)
    if detail["type"] == "missing":
        return f"{where}: {key} is missing: {_meaning(kind, path)}.", None
    if detail["type"] == "value_error":
        return f"{where}: {key}: {_short(str(detail['ctx']['error']))}.", None
    expected = _EXPECTED.get(detail["type"]) or detail["msg"].replace("Input should be", "expected")
    hint = None
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        hint = did_you_mean(detail["input"][:_SHOWN], _choices(detail))
    return f"{where}: {key}: {expected}, got {value} ({_meaning(kind, path)}).", hint


def _short(text: str) -> str:
    """Shorten text of a file for a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _choices(detail: ErrorDetails) -> list[str]:
    expected = str(detail["ctx"]["expected"])
    return [part.strip("' ") for part in expected.replace(" or ", ", ").split(", ")]


def _sections(kind: type[Section], path: KeyPath) -> Iterator[type[Section]]:
    """Yield the section classes along ``path``, one per key, starting with the whole file."""
    section = kind
    yield section
    is_name = False
    for part in path:
        if is_name:
            is_name = False
            yield section
            continue
        if part.isdigit():
            continue
        field = section.model_fields.get(part)
        inner = _section_of(field.annotation) if field else None
        if field is None or inner is None:
            return
        section = inner
        is_name = get_origin(field.annotation) is dict
        yield section


def _section_of(annotation: object) -> type[Section] | None:
    arguments = getattr(annotation, "__args__", ())
    for candidate in (annotation, *arguments):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


def _known_keys(kind: type[Section], path: KeyPath) -> list[str]:
    *_, section = _sections(kind, path)
    keys = list(section.model_fields)
    return [*keys, "extends"] if section is kind else keys


def _meaning(kind: type[Section], path: KeyPath) -> str:
    meaning = None
    parts = (part for part in path if not part.isdigit())
    for section, part in zip(_sections(kind, path), parts, strict=False):
        field = section.model_fields.get(part)
        meaning = field.description if field else meaning
    return meaning or "no such key"
