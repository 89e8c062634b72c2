"""Builders of neighbour graphs by name: the shipped ones, and those of installed packages."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from hypencli.errors import MissingDependencyError, UsageError, did_you_mean
from hypencli.ops.graphs.builder import GraphBuilder
from hypencli.option_fields import OptionDescription, describe_options, parse_options
from hypencli.packages import install_command
from hypencli.plugins import offered, offered_names
from hypencli.runtime import resolve_device

if TYPE_CHECKING:
    from hypencli.engine.corpus import VectorSource
    from hypencli.engine.neighbours.similarity import Metric

AUTO = "auto"
"""Selects ``exact``, or an approximate builder for a large corpus."""

AUTO_EXACT_DOCUMENTS = 100_000
"""Number of documents up to which the exact builder is as fast as the others."""

BUILDERS: Mapping[str, str] = {
    "exact": "exact:ExactBuilder",
    "nn-descent": "nn_descent:NNDescentBuilder",
    "hnsw": "hnsw:HnswBuilder",
    "faiss-hnsw": "hnsw:FaissHnswBuilder",
}
"""Shipped builders: name -> module of this package and class.

``auto`` selects the first approximate builder whose package is installed.
"""

BUILDERS_GROUP = "hypencli.graph_builders"
"""Group of entry points. Their names are builders, their values are classes."""


def builder_names() -> list[str]:
    """Return the names of all builders, the shipped ones first."""
    return [*BUILDERS, *(name for name in offered_names(BUILDERS_GROUP) if name not in BUILDERS)]


def builder_class(name: str) -> type[GraphBuilder]:
    """Look up a builder among the shipped ones and those of installed packages.

    Raises:
        UsageError: There is no such builder, or the entry point is not a builder.
    """
    candidate: object | None
    if name in BUILDERS:
        module, _, attribute = BUILDERS[name].partition(":")
        candidate = getattr(importlib.import_module(f"hypencli.ops.graphs.{module}"), attribute)
    else:
        candidate = offered(BUILDERS_GROUP, name)
    if candidate is None:
        names = [AUTO, *builder_names()]
        raise UsageError(f"There is no builder {name!r}.", hint=did_you_mean(name, names))
    if not (isinstance(candidate, type) and issubclass(candidate, GraphBuilder)):
        raise UsageError(
            f"The builder {name!r} is not a class that derives from "
            "hypencli.ops.graphs.builder.GraphBuilder.",
            hint="See docs/extending.md.",
        )
    return candidate


def installed_name(name: str) -> str:
    """Resolve the name of a builder whose package is missing to its replacement.

    Two libraries build different HNSW graphs. A graph is recorded with the builder that made it.

    Args:
        name: Name of a builder, not ``auto``.

    Raises:
        UsageError: There is no such builder.
    """
    kind = builder_class(name)
    if kind.package is None or kind.without_package is None:
        return name
    return kind.without_package if importlib.util.find_spec(kind.package) is None else name


def make_builder(name: str, options: Mapping[str, Any], *, seed: int) -> GraphBuilder:
    """Create a builder with its options.

    Args:
        name: Name of a builder, not ``auto``.
        options: Options by name. A string is parsed as the type of the option.
        seed: Seed for a builder that draws random numbers.

    Raises:
        UsageError: There is no such builder or option, or a value is out of bounds.
    """
    kind = builder_class(name)
    builder = parse_options(kind, options, of=f"the builder {name}")
    has_seed = "seed" in {field.name for field in fields(kind)}
    return replace(builder, **{"seed": seed}) if has_seed else builder


def automatic(corpus: VectorSource, metric: Metric, device: str | None) -> str:
    """Select the builder for ``auto``.

    Args:
        corpus: The document vectors ``[n, d]``.
        metric: Similarity or distance: ``l2``, ``ip`` or ``cos``.
        device: Device of the exact builder. None selects the best one.

    Returns:
        Name of the builder.

    Raises:
        MissingDependencyError: The corpus is large, and no approximate builder is installed.
    """
    if corpus.n <= AUTO_EXACT_DOCUMENTS:
        return "exact"
    builder = installed_builder()
    if builder is not None:
        return builder
    from hypencli.engine.neighbours.exact import estimated_seconds
    from hypencli.engine.neighbours.similarity import Similarity

    hours = estimated_seconds(corpus, Similarity(metric, resolve_device(device))) / 3600
    raise MissingDependencyError(
        f"An exact graph of {corpus.n:,} documents takes about {hours:,.1f} hours on this machine, "
        "and no package for an approximate one is installed.",
        hint=f"{install_command('pynndescent')}, or add `builder=exact`",
    )


def installed_builder() -> str | None:
    """Return an approximate builder whose package is installed; None if there is none."""
    for name in BUILDERS:
        package = builder_class(name).package
        if package is not None and importlib.util.find_spec(package):
            return name
    return None


@dataclass(frozen=True, slots=True)
class DescribedBuilder:
    """Description of a builder.

    Attributes:
        name: Name of the builder.
        help: Short description.
        options: Its options.
    """

    name: str
    help: str
    options: list[OptionDescription]


def describe_builders() -> list[DescribedBuilder]:
    """Describe all builders and their options."""
    kinds = [(name, builder_class(name)) for name in builder_names()]
    return [DescribedBuilder(name, kind.help, describe_options(kind)) for name, kind in kinds]
