"""Lookup of converters, the architectures of q-nets, by name: shipped and user-defined ones."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from hypencli.errors import ModelError, did_you_mean
from hypencli.models.qnets.matryoshka import MatryoshkaConverter
from hypencli.models.qnets.protocols import QNetConverter
from hypencli.models.qnets.repeated_dense import RepeatedDenseBlockConverter
from hypencli.models.qnets.warm_start import WarmStartConverter
from hypencli.plugins import offered

__all__ = [
    "PUBLISHED_CONVERTER",
    "SHIPPED_CONVERTERS",
    "MatryoshkaConverter",
    "RepeatedDenseBlockConverter",
    "WarmStartConverter",
    "resolve_converter",
]

SHIPPED_CONVERTERS: Mapping[str, type] = {
    "repeated-dense": RepeatedDenseBlockConverter,
    "warm-start": WarmStartConverter,
    "matryoshka": MatryoshkaConverter,
}
"""Shipped converters by their short names in configurations and recipes."""

PUBLISHED_CONVERTER = "repeated-dense"


def resolve_converter(
    name: str | None, options: Mapping[str, Any], *, trust_code: bool = False
) -> QNetConverter:
    """Make the converter with a name and options.

    Args:
        name: A short name of :data:`SHIPPED_CONVERTERS`, a ``module:Class`` of a user, or None for
            the published one.
        options: Keyword arguments of the constructor.
        trust_code: Whether any ``module:Class`` may be imported, which runs its code; otherwise
            only those of installed packages may be.

    Raises:
        ModelError: The converter does not exist, is not trusted, is no converter, or refuses the
            options.
    """
    made_by = _converter_class(name or PUBLISHED_CONVERTER, trust_code=trust_code)
    try:
        converter = made_by(**options)
    except TypeError as error:
        raise ModelError(
            f"Converter {name or PUBLISHED_CONVERTER!r} refuses {dict(options)}: {error}."
        ) from error
    if not isinstance(converter, QNetConverter):
        raise ModelError(
            f"{name!r} is not a converter: it needs weight_shapes, bias_shapes and "
            "__call__(matrices, vectors, is_training).",
            hint="See docs/extending.md.",
        )
    return converter


def _converter_class(name: str, *, trust_code: bool) -> type:
    if name in SHIPPED_CONVERTERS:
        return SHIPPED_CONVERTERS[name]
    module_name, _, class_name = name.partition(":")
    if not class_name:
        raise ModelError(
            f"Unknown converter {name!r}.",
            hint=f"{did_you_mean(name, SHIPPED_CONVERTERS)} One of your own is module:Class.",
        )
    if not trust_code:
        return _offered(name)
    try:
        candidate = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"Converter {name!r} cannot be imported: {error}.",
            hint="Install its package, or add its folder to PYTHONPATH.",
        ) from error
    if not isinstance(candidate, type):
        raise ModelError(f"Converter {name!r} is not a class.")
    return candidate


def _offered(name: str) -> type:
    """Return a converter class of an installed package."""
    converter = installed_converter(name)
    if converter is None:
        raise ModelError(
            f"The model names a converter of its own, {name!r}: using it runs that module's code.",
            hint="If you trust that code: `trust_code=True`; or install a package that offers it "
            f"(entry points {CONVERTERS_GROUP}, see docs/extending.md).",
        )
    return converter


CONVERTERS_GROUP = "hypencli.converters"


def installed_converter(name: str) -> type | None:
    """Return the class ``module:Class`` if an installed package offers it, else None.

    Nothing is imported unless a package offers it.
    """
    converter = offered(CONVERTERS_GROUP, name)
    return converter if isinstance(converter, type) else None
