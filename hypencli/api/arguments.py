"""Checks of the arguments of the Python library, before anything is computed."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, TypeVar

from hypencli.errors import UsageError, did_you_mean
from hypencli.option_fields import LARGEST

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SHARES = ("recall",)
OptionsT = TypeVar("OptionsT")

_LEAST = {"max_length": 2, "query_max_length": 2, "m": 2, "seed": 0}
"""Minimum of whole numbers, if it is not 1."""


def text_list(texts: Iterable[str], what: str) -> list[str]:
    """Convert a list, tuple, NumPy array of strings or generator to a list of texts.

    A set is refused, because its order is random.

    Args:
        texts: The texts.
        what: Word for one text in messages, such as ``passage``.

    Raises:
        UsageError: The value is one text, a mapping, a set, or not iterable.
        DataError: An element is not Unicode text.
    """
    from hypencli.data.reading.rows import checked_text

    if isinstance(texts, str | bytes | Mapping | Set) or not isinstance(texts, Iterable):
        raise UsageError(
            f"A list of texts was expected, not {texts!r:.80}.", hint="For one text: [text]"
        )
    return [
        str(checked_text(text, f"{what} {number}")) for number, text in enumerate(texts, start=1)
    ]


def name_list(names: Sequence[str], what: str) -> tuple[str, ...]:
    """Convert names, such as those of measures, to a tuple.

    Raises:
        UsageError: The value is one text, or an element is not a text.
    """
    if isinstance(names, str | bytes | Mapping) or not isinstance(names, Iterable):
        raise UsageError(
            f"{what}: a list of names was expected, not {names!r:.80}.",
            hint=f"{what}=[{names!r:.80}]",
        )
    listed = tuple(names)
    for name in listed:
        if not isinstance(name, str):
            raise UsageError(f"{what}: a name was expected, not {name!r:.80}.")
    return tuple(map(str, listed))


def optional_text(value: object, what: str) -> str | None:
    """Check a value that must be a text, such as a name, or None.

    Raises:
        UsageError: The value is something else.
    """
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    raise UsageError(f"{what} must be a text, not {value!r:.80}.")


def is_unicode(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which no encoding of Unicode can write."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def flag(value: object, what: str) -> bool:
    """Check a value that must be True or False.

    Raises:
        UsageError: The value is something else.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{what} must be True or False, not {value!r:.80}.")
    return value


def float32_array(values: object, what: str) -> npt.NDArray[np.float32]:
    """Convert numbers to a float32 array; those beyond float32 become infinite.

    Raises:
        UsageError: The values are not real numbers, or rows have different lengths.
    """
    import numpy as np

    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} must be an array of numbers: {error}.") from error
    if array.dtype.kind not in "fiu" and array.size:
        raise UsageError(f"{what} must be an array of real numbers, not of {array.dtype}.")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def whole_number(value: object, what: str, *, least: int | None = 1) -> int:
    """Convert a whole number of Python or NumPy to ``int``.

    Raises:
        UsageError: The value is not a whole number, is smaller than ``least``, or its size exceeds
            ``LARGEST``.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"{what} must be a whole number, not {value!r:.80}.") from None
    if least is not None and number < least:
        raise UsageError(f"{what} is {number}; it must be at least {least}.")
    if abs(number) > LARGEST:
        raise UsageError(f"{what} is too large: {LARGEST:,} is the limit.")
    return number


def option_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the field names of a dataclass of options."""
    return tuple(field.name for field in dataclasses.fields(kind))


def make_options(kind: type[OptionsT], options: Mapping[str, Any], method: str) -> OptionsT:
    """Build the options of a method as the dataclass that operations take.

    Args:
        kind: A dataclass. Fields whose types are not plain are not checked here.
        options: Name of a field -> its value.
        method: Name of the method, for messages.

    Raises:
        UsageError: An option does not exist, or its value has another type or is too small.
    """
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in options:
        if name not in fields:
            raise UsageError(f"{method} has no option {name!r}.", hint=did_you_mean(name, fields))
    return kind(**{name: _checked(name, value, fields[name]) for name, value in options.items()})


def _checked(name: str, value: Any, annotation: str) -> Any:
    types = annotation.split(" | ")
    if value is None and "None" in types:
        return None
    if name == "part":
        return _part(value)
    if "int" in types:
        return whole_number(value, name, least=_LEAST.get(name, 1))
    if "float" in types:
        return _number(value, name)
    if "bool" in types:
        return flag(value, name)
    if "str" in types:
        return optional_text(value, name)
    return value


def _number(value: Any, name: str) -> float:
    try:
        number = math.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{name} must be a number, not {value!r:.80}.")
    if number < 0 and name == "wait_seconds":
        raise UsageError(f"{name} is {number:g}; it must be at least 0.")
    if name in _SHARES and not 0 <= number <= 1:
        raise UsageError(f"{name} is {number:g}; it must be from 0 to 1.")
    return number


def _part(value: Any) -> tuple[int, int]:
    """Check ``(i, N)``, which means part i of N."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise UsageError(f"part must be two numbers (i, N), such as (2, 8), not {value!r:.80}.")
    number, parts = (whole_number(each, "part") for each in value)
    if number > parts:
        raise UsageError(f"There is no part {number} of {parts}.")
    return number, parts
