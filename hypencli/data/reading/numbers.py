"""Parse numbers of text files strictly.

``int`` and ``float`` accept too much: ``1_0`` as 10, and digits of all scripts.
"""

from __future__ import annotations

import math

FLOAT32_END = (2 - 2**-24) * 2.0**127
"""The smallest number that becomes infinite as float32, the type of stored scores."""


def whole_number(text: str) -> int:
    """Parse a whole number in ASCII digits, with or without a sign.

    Raises:
        ValueError: The text has another form.
    """
    if not text.isascii() or not text.removeprefix("-").removeprefix("+").isdigit():
        raise ValueError(text)
    return int(text)


def finite_score(value: object) -> float:
    """Parse a score: a number, or a text in ASCII digits, within the range of float32.

    Raises:
        ValueError: The value is no number, not finite, or beyond float32.
    """
    if isinstance(value, str):
        if not value.isascii() or "_" in value:
            raise ValueError(value)
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)
    if not math.isfinite(value) or abs(value) >= FLOAT32_END:
        raise ValueError(value)
    return float(value)
