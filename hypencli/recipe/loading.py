"""Finds recipes, joins what they extend, applies overrides, and says plainly what is wrong."""

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
from hypencli.recipe.schema import Group, Recipe
from hypencli.recipe.section import Section

Table: TypeAlias = dict[str, Any]
KeyPath: TypeAlias = tuple[str, ...]
Kind = TypeVar("Kind", bound=Section)
"""What a file describes: a training, or a replication."""

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
"""The same in sections that hold a table for each name."""
_EXPECTED = {
    "bool_type": "expected true or false",
    "dict_type": "expected a table",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "model_type": "expected a table",
    "string_type": "expected a string",
    "tuple_type": "expected an array",
}
"""Types in the words of TOML; the other messages of pydantic are plain as they are."""
_SHOWN = 300
"""Characters of a file, or of an override, that a message repeats at most."""
_ONLY_BY_OVERRIDE = ("model", "trust_code")


@dataclass(frozen=True)
class RecipeSummary:
    """One shipped recipe."""

    name: str
    path: Path
    description: str
    group: str | None


@dataclass
class _Joined:
    """Values joined so far, and which file or override each one came from."""

    values: Table = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: KeyPath, *, default: str) -> str:
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path[:-1]
        return default


def recipes_folder() -> Path:
    """The folder of shipped recipes: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def list_recipes() -> list[RecipeSummary]:
    """The shipped recipes, by group and name; those of no group come last.

    Raises:
        RecipeError: One of them cannot be read.
    """
    summaries = []
    for path in sorted(recipes_folder().glob("*.toml"), key=lambda path: path.stem):
        values = _with_parents(path, chain=(), folder=path.parent).values
        description = str(values.get("description", ""))
        summaries.append(RecipeSummary(path.stem, path, description, values.get("group")))
    order: tuple[str, ...] = get_args(Group)
    return sorted(summaries, key=lambda one: (*order, one.group).index(one.group))


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, join what it extends, apply overrides, and check all of it.

    Args:
        name_or_path: Name of a shipped recipe, or the path of a TOML file.
        overrides: ``key.path=value`` each, the value in TOML or a bare string; later ones win.
            An array of tables is reached by index (``losses.0.scale=2``).

    Raises:
        RecipeError: Not found, not TOML (with the line), a circle of ``extends``, an unknown key,
            or a value out of bounds; says which file or override it came from.
    """
    return load_section(Recipe, find_recipe(name_or_path), overrides, folder=recipes_folder())


def load_section(
    kind: type[Kind], path: Path, overrides: Sequence[str] = (), *, folder: Path
) -> Kind:
    """Read a file of any kind; see :func:`load_recipe`.

    Args:
        kind: What the file describes.
        path: The file.
        overrides: ``key.path=value`` each.
        folder: Where what it extends is found by name.

    Raises:
        RecipeError: As :func:`load_recipe`.
    """
    joined = _with_parents(path, chain=(), folder=folder)
    for override in overrides:
        _join(joined, _parse_override(override), source=f"{_OVERRIDE} {override}")
    joined.values.setdefault("name", path.stem)
    return _validated(joined, kind, source=str(path))


def resolve_recipe(values: Mapping[str, Any], *, source: str = "recipe") -> Recipe:
    """Check a recipe given as nested mappings, as ``tomllib`` would return them.

    Raises:
        RecipeError: As :func:`load_recipe`, with ``source`` in place of the file.
    """
    joined = _Joined()
    _join(joined, dict(values), source=source)
    return _validated(joined, Recipe, source=source)


def find_recipe(name_or_path: str | Path, *, folder: Path | None = None) -> Path:
    """The file of a recipe: a path when it ends in ``.toml`` or has a folder, else a shipped name.

    Args:
        name_or_path: What the user named.
        folder: Where names are looked for; None is the folder of what can be trained.

    Raises:
        RecipeError: There is no such file or name; lists where it was looked for.
    """
    folder = recipes_folder() if folder is None else folder
    text = os.fspath(name_or_path)
    if text.endswith(".toml") or Path(text).name != text:
        path = Path(text).expanduser()
        if not path.is_file():
            raise RecipeError(f"No recipe file {path}.", hint=_names_hint(path.stem, folder))
        return path
    path = folder / f"{text}.toml"
    if not path.is_file():
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
        # The parser's own message ends in "(at line 3, column 5)"; numbers without end and nesting
        # without end it leaves to Python.
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
    if not beside.is_file():
        raise RecipeError(f"{path}: extends: no recipe file {beside}.")
    return beside


def _anchor(values: Table, *, folder: Path) -> None:
    """Places that start with ``./`` or ``../`` are meant from the folder of the recipe."""
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
    """Tables are joined key by key; anything else above replaces what is below."""
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
    """What one validation error says to the user: the sentence, and the hint where there is one."""
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
    """Text of a file for a message: a recipe of one long line is not shown whole."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _choices(detail: ErrorDetails) -> list[str]:
    expected = str(detail["ctx"]["expected"])
    return [part.strip("' ") for part in expected.replace(" or ", ", ").split(", ")]


def _sections(kind: type[Section], path: KeyPath) -> Iterator[type[Section]]:
    """The section classes met while walking down ``path`` from the whole file, a key at a time."""
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
