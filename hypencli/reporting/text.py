"""Shorten texts, and format numbers for readers."""

from __future__ import annotations

import re

_BLANKS = re.compile(r"\s+")
MISSING = "–"


def shortened(text: str, limit: int) -> str:
    """Shorten a text to one line; a longer text is cut between words."""
    flat = _BLANKS.sub(" ", text[: 4 * limit + 64]).strip()
    if len(flat) <= limit:
        return flat if len(text) <= 4 * limit + 64 else f"{flat} …"
    cut = flat[:limit]
    head, _, _ = cut.rpartition(" ")
    return f"{head if len(head) > limit // 2 else cut} …"


def decimals(value: float | None, places: int = 4) -> str:
    """Format a measure or a duration."""
    return MISSING if value is None else f"{value:,.{places}f}"


def signed(value: float) -> str:
    """Format a difference with its sign: a true minus, and no sign for zero."""
    text = f"{value:+.4f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def whole(value: float | None) -> str:
    """Format a count."""
    return MISSING if value is None else f"{value:,.0f}"


def digits(value: float | None, count: int = 3) -> str:
    """Format a value with ``count`` significant digits, and all digits before the point."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 10 ** (count - 1) else f"{value:.{count}g}"


def p_value(p: float) -> str:
    """Format the p-value of a test."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def left_out(count: int, what: str, command: str) -> tuple[str, ...]:
    """Describe content that is left out to limit the size of the page; empty if there is none."""
    return (f"{count:,} more {what} are left out: {command} has them.",) if count > 0 else ()
