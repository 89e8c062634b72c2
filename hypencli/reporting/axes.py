"""Axes of plots: positions of values, and the ticks with their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LOG_SPAN = 10.0
"""Minimum ratio of the greatest value to the least for a logarithmic axis."""

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Tick:
    """Label of a value on an axis, and its position in units of the drawing."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Axis that maps values from ``low`` to ``high`` to positions from ``start`` to ``end``.

    Attributes:
        start: Position of ``low`` in the drawing.
        end: Position of ``high``. It can be smaller than ``start``, because y grows downwards in
            SVG.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Return the position of a value, rounded to a tenth of a unit."""
        low, high, at = self.low, self.high, value
        if self.is_log:
            low, high, at = math.log(low), math.log(high), math.log(value)
        share = 0.5 if high == low else (at - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int = 4) -> tuple[Tick, ...]:
        """Return about ``count`` ticks at round values; an axis of one value has one tick."""
        if self.low == self.high:
            return (Tick(self.place(self.low), _label(self.low)),)
        values = _log_values(self.low, self.high) if self.is_log else []
        if len(values) < 2:
            values = _linear_values(self.low, self.high, count)
        return tuple(Tick(self.place(value), _label(value)) for value in values)


def axis(values: Sequence[float], start: float, end: float, *, may_be_log: bool = False) -> Axis:
    """Return an axis whose range is that of ``values``, of which there must be at least one."""
    low, high = min(values), max(values)
    is_log = may_be_log and low > 0 and high / low >= _LOG_SPAN
    return Axis(low, high, start, end, is_log)


def short(value: float) -> str:
    """Format a value for a sentence."""
    return _true_minus(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}")


def _label(value: float) -> str:
    """Format a value for a tick: enough digits to distinguish neighbours, and no minus zero."""
    return _true_minus(f"{value:,.0f}" if abs(value) >= 1000 else f"{value + 0.0:.6g}")


def _true_minus(text: str) -> str:
    return text.replace("-", "−")


def _linear_values(low: float, high: float, count: int) -> list[float]:
    """Return the multiples of a round step within the range."""
    rough = (high - low) / max(count, 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * part for part in _STEPS if unit * part >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _log_values(low: float, high: float) -> list[float]:
    """Return the powers of ten in the range; if they are few, also their multiples by 2 and 5."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1.0,), (1.0, 2.0, 5.0)):
        values = [part * 10.0**power for power in powers for part in parts]
        inside = [value for value in values if low <= value <= high]
        if len(inside) > 2:
            return inside
    return inside
