"""Templates of the report and of the served page: escaping, filters, and where their files are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from hypencli.escaping import escape_terminal
from hypencli.reporting import text

if TYPE_CHECKING:
    from jinja2 import Environment

_FILTERS: dict[str, Callable[..., str]] = {
    "decimals": text.decimals,
    "digits": text.digits,
    "signed": text.signed,
    "whole": text.whole,
}


@cache
def template_environment(*packages: str) -> Environment:
    """Return an environment that escapes all values.

    It also removes control characters and direction marks from them. Templates isolate such text
    (``bdi``), so that right-to-left letters remain readable.

    Args:
        packages: Packages whose folder ``templates`` is searched before that of the report.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(one) for one in (*packages, "hypencli.reporting")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    return environment


def source_of(name: str) -> str:
    """Read a style sheet or a script that the report and the served page share."""
    place = resources.files("hypencli.reporting") / "templates" / name
    return place.read_text(encoding="utf-8")


def _finalize(value: object) -> object:
    """Remove control characters and direction marks from a value; keep markup of templates."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return escape_terminal(value)
    return value
