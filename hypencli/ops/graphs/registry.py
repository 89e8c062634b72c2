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
from hypencli.plugins import offered, offered_names
from hypencli.runtime import resolve_device

if TYPE_CHECKING:
    from hypencli.engine.corpus import VectorSource
    from hypencli.engine.neighbours.similarity import Metric

AUTO = "auto"
"""Stands for ``exact``, or for an approximate builder where there are too many documents."""

AUTO_EXACT_DOCUMENTS = 100_000
"""Up to so many documents the exact builder is as fast as the others."""

BUILDERS: Mapping[str, str] = {
    "exact": "exact:ExactBuilder",
    "nn-descent": "nn_descent:NNDescentBuilder",
    "hnsw": "hnsw:HnswBuilder",
    "faiss-hnsw": "hnsw:FaissHnswBuilder",
}
"""Shipped builders: name -> module of this package and class. Help is shown without importing them.

``auto`` takes the first approximate one whose package is there.
"""

BUILDERS_GROUP = "hypencli.graph_builders"
"""Entry points of installed packages: the name of a builder, and its class."""


def builder_names() -> list[str]:
    """The names of all builders, the shipped ones first."""
    return [*BUILDERS, *(name for name in offered_names(BUILDERS_GROUP) if name not in BUILDERS)]


def builder_class(name: str) -> type[GraphBuilder]:
    """The builder of a name: a shipped one, or one that an installed package offers.

    Raises:
        UsageError: There is none, or what the package offers is no builder.
    """
    candidate: object | None
    if name in BUILDERS:
        module, _, attribute = BUILDERS[name].partition(":")
        candidate = getattr(importlib.import_module(f"hypencli.ops.graphs.{module}"), attribute)
    else:
        candidate = offered(BUILDERS_GROUP, name)
    if candidate is None:
        known = [AUTO, *builder_names()]
        raise UsageError(f"There is no builder {name!r}.", hint=did_you_mean(name, known))
    if not (isinstance(candidate, type) and issubclass(candidate, GraphBuilder)):
        raise UsageError(
            f"The builder {name!r} is not a class that derives from "
            "hypencli.ops.graphs.builder.GraphBuilder.",
            hint="See docs/extending-graph-builder.md.",
        )
    return candidate


def installed_name(name: str) -> str:
    """The builder that works where a builder is asked for by name; not ``auto``.

    It is the builder itself, or the one in its place where a package that it needs is missing. Two
    libraries make different HNSW graphs, so a graph is recorded under the one that made it.

    Raises:
        UsageError: There is no builder of that name.
    """
    kind = builder_class(name)
    if kind.package is None or kind.without_package is None:
        return name
    return kind.without_package if importlib.util.find_spec(kind.package) is None else name


def make_builder(name: str, options: Mapping[str, Any], *, seed: int) -> GraphBuilder:
    """The builder of a name with its options set.

    Args:
        name: Of the builder; not ``auto``.
        options: Its options by name; a text is read as a value of the option's type.
        seed: For a builder that draws random numbers.

    Raises:
        UsageError: There is no such builder or option, or a value is out of bounds.
    """
    kind = builder_class(name)
    builder = parse_options(kind, options, of=f"the builder {name}")
    has_seed = "seed" in {field.name for field in fields(kind)}
    return replace(builder, **{"seed": seed}) if has_seed else builder


def automatic(corpus: VectorSource, metric: Metric, device: str | None) -> str:
    """The builder that ``auto`` stands for.

    Args:
        corpus: The document vectors.
        metric: What is near.
        device: Where the exact builder would compute; None is the best.

    Raises:
        MissingDependencyError: There are too many documents to compare all, and no package.
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
        f"To compare all of {corpus.n:,} documents takes about {hours:,.1f} hours here, and no "
        "package that finds neighbours faster is installed.",
        hint="pip install 'hypencli[nn-descent]', or take the time: choose the builder exact",
    )


def installed_builder() -> str | None:
    """An approximate builder whose package is there; None where there is none."""
    for name in BUILDERS:
        package = builder_class(name).package
        if package is not None and importlib.util.find_spec(package):
            return name
    return None


@dataclass(frozen=True, slots=True)
class DescribedBuilder:
    """A builder for people: its name, what it is, and its options."""

    name: str
    help: str
    options: list[OptionDescription]


def describe_builders() -> list[DescribedBuilder]:
    """All builders with their options."""
    kinds = [(name, builder_class(name)) for name in builder_names()]
    return [DescribedBuilder(name, kind.help, describe_options(kind)) for name, kind in kinds]
