"""Results as a user sees them: drawn for people, or as JSON for programs."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hypencli.escaping import escape_json, escape_shell, escape_terminal

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.drafts import NameNotGiven


T = TypeVar("T")


def escape(text: object) -> str:
    """Untrusted text as part of one line, without control characters and line breaks."""
    return escape_terminal(str(text)).replace("\n", " ")


def first_few(names: Sequence[str]) -> str:
    """The first five names, separated by commas, and an ellipsis if there are more."""
    return ", ".join(map(escape, names[:5])) + (", …" if len(names) > 5 else "")


def show(result: T, draw: Callable[[Console, T], None], *, as_json: bool) -> None:
    """Print a result with ``draw``, or as one line of JSON."""
    if as_json:
        sys.stdout.write(escape_json(to_json(result)) + "\n")
        return
    draw(console(), result)


def console() -> Console:
    """The console on which results are drawn."""
    from hypencli.cli.output.terminal import Terminal

    return Terminal()


def to_json(value: Any) -> Any:
    """Convert a result to plain JSON values; NaN and infinities become None."""
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
    """Values of the properties of a dataclass, such as a total."""
    names = [name for name, item in vars(type(value)).items() if isinstance(item, property)]
    return {name: to_json(getattr(value, name)) for name in names}


def number(value: object) -> str:
    """A table cell as text: floats with 4 places, None as a dash."""
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value)
    if isinstance(value, float):
        return f"{value:.4f}"
    return escape(value)


def size(n_bytes: float) -> str:
    """A number of bytes with its unit: ``1.5 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n_bytes) < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def seconds(value: float) -> str:
    """A duration with its unit: ``35 ms``, ``1.5 s``, ``3 min 20 s``."""
    if value < 120:
        return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def draw_shortened(console: Console, count: int) -> None:
    """Print how many absolute paths were shortened in what was written."""
    if count:
        paths = "path was shortened to its last part" if count == 1 else "paths were shortened"
        console.print(f"{count:,} absolute {paths}; --keep-paths keeps them whole.")


def draw_next_of_model(console: Console, model: str, embeddings: Sequence[str]) -> None:
    """Suggest a search if the model's embeddings are there, else to make them."""
    if not embeddings:
        console.print(f"Next: hype encode DATASET --model {escape_shell(model)}", soft_wrap=True)
        return
    console.print(f"Its passage encoder has encoded already: {escape(', '.join(embeddings))}.")
    console.print(
        f"Next: hype search QUERIES --model {escape_shell(model)} "
        f"--embeddings {escape_shell(embeddings[-1])}",
        soft_wrap=True,
    )


def draw_name_not_given(console: Console, name: NameNotGiven | None, display_name: str) -> None:
    """Tell the user that an existing artifact did not get the name that ``--name`` asks for.

    Args:
        console: The terminal to print on.
        name: The name that was refused; None prints nothing.
        display_name: The name of the existing artifact, or its id.
    """
    if name is None:
        return
    asked, kept = escape(name.asked), escape(display_name)
    console.print(f"Not named {asked}: the artifact existed before, and its name stays {kept}.")
    if name.taken_by is not None:
        console.print(f"Another artifact has the name {asked}: {name.taken_by}.")
        return
    needed = " --force" if name.needed_by else ""
    command = f"hype rm {escape_shell(display_name)}{needed}"
    console.print(f"To name it {asked}: {command}, then the same command again.")
    if name.needed_by:
        console.print("That removes the artifacts that were made from it, too.")
