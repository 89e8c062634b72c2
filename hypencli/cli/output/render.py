"""What a user sees: results drawn for people, or as JSON for programs."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hypencli.escaping import escape_json, escape_terminal

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.drafts import NameNotGiven


T = TypeVar("T")


def escape(text: object) -> str:
    """Text that others wrote, within a line: nothing in it steers a terminal or begins another."""
    return escape_terminal(str(text)).replace("\n", " ")


def show(result: T, draw: Callable[[Console, T], None], *, as_json: bool) -> None:
    """Print a result: drawn for people, or as one line of JSON."""
    if as_json:
        sys.stdout.write(escape_json(to_json(result)) + "\n")
        return
    draw(console(), result)


def console() -> Console:
    """The terminal that results are drawn on."""
    from hypencli.cli.output.terminal import Terminal

    return Terminal()


def to_json(value: Any) -> Any:
    """A result as plain JSON values; a number that JSON does not have is None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {
            field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
        return plain | _computed(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence | set | frozenset):
        return [to_json(item) for item in value]
    return str(value)


def _computed(value: object) -> dict[str, Any]:
    """Properties of a result, such as a total."""
    names = [name for name, item in vars(type(value)).items() if isinstance(item, property)]
    return {name: to_json(getattr(value, name)) for name in names}


def number(value: object) -> str:
    """A cell of a table: measures to 4 places."""
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value)
    if isinstance(value, float):
        return f"{value:.4f}"
    return escape(value)


def size(n_bytes: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n_bytes) < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def seconds(value: float) -> str:
    """A duration for people."""
    if value < 120:
        return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def draw_name_not_given(console: Console, name: NameNotGiven | None, display_name: str) -> None:
    """Say so, what to use instead, and what to run to have it under the other name.

    Args:
        console: Where to.
        name: The name that was asked for; None where it was given, or none was asked for.
        display_name: What the artifact goes by: its name, or its id.
    """
    if name is None:
        return
    asked, kept = escape(name.asked), escape(display_name)
    console.print(f"Not named {asked}: it was made before and stays {kept}, so use {kept}.")
    if name.taken_by is not None:
        console.print(f"The name {asked} is that of another: {name.taken_by}.")
        return
    needed = " --force" if name.needed_by else ""
    console.print(f"To have it as {asked}: hype rm {kept}{needed}, then the same command again.")
    if name.needed_by:
        console.print("That removes what was made from it, too.")
