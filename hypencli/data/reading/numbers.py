"""Numbers as text files have them, read strictly.

``int`` and ``float`` take more than any file means: ``1_0`` is 10 to them, and digits of every
script count.
"""

from __future__ import annotations

import math

FLOAT32_END = (2 - 2**-24) * 2.0**127
"""The first number that becomes infinite as a float32, which is how stores keep scores."""


def whole_number(text: str) -> int:
    """A whole number in ASCII digits, with or without a sign.

    Raises:
        ValueError: It is none.
    """
    if not text.isascii() or not text.removeprefix("-").removeprefix("+").isdigit():
        raise ValueError(text)
    return int(text)


def finite_score(value: object) -> float:
    """A score: a number, or a text that is one in ASCII digits, which a float32 can hold.

    Raises:
        ValueError: It is none, not finite, or beyond float32.
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
