"""Text that others wrote, made harmless, and numbers as people read them."""

from __future__ import annotations

import re

_HARMFUL = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters; tabs and line ends stay
    "\u061c\u200e\u200f"  # marks of direction
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates
    "\u2028\u2029\ufeff"  # separators of lines and paragraphs, byte order mark
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"  # annotations, no characters at all
    "]"
)
_BLANKS = re.compile(r"\s+")
MISSING = "–"


def harmless(text: str) -> str:
    """Text without what steers a terminal, turns the direction of others, or is no character.

    The page isolates such text (``bdi``), so that letters which run right to left stay readable.
    """
    return _HARMFUL.sub("", text)


def shortened(text: str, limit: int) -> str:
    """The beginning of a text in one line, cut between words where it is longer."""
    flat = _BLANKS.sub(" ", text[: 4 * limit + 64]).strip()
    if len(flat) <= limit:
        return flat if len(text) <= 4 * limit + 64 else f"{flat} …"
    cut = flat[:limit]
    head, _, _ = cut.rpartition(" ")
    return f"{head if len(head) > limit // 2 else cut} …"


def decimals(value: float | None, places: int = 4) -> str:
    """A measure, or a duration."""
    return MISSING if value is None else f"{value:,.{places}f}"


def signed(value: float) -> str:
    """A difference, with its sign: a true minus, and none before zero."""
    text = f"{value:+.4f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def whole(value: float | None) -> str:
    """A count."""
    return MISSING if value is None else f"{value:,.0f}"


def digits(value: float | None, count: int = 3) -> str:
    """A value of any size: ``count`` digits, and all of those before the point."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 10 ** (count - 1) else f"{value:.{count}g}"


def p_value(p: float) -> str:
    """The p of a test."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def left_out(count: int, what: str, command: str) -> tuple[str, ...]:
    """A sentence on what is not on the page for its size; none where nothing is left out."""
    return (f"{count:,} more {what} are left out: {command} has them.",) if count > 0 else ()
