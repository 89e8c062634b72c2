"""Which vector index, with which parameters, under the names that the field has for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hypencli.errors import UsageError, did_you_mean


@dataclass(frozen=True, slots=True)
class IndexOption:
    """One parameter of an index.

    Attributes:
        default: What it is where nothing is said.
        least: Its smallest value.
        greatest: Its largest value.
        meaning: What it does.
        for_building: Whether it determines what is built; the others matter to each search.
    """

    default: int
    least: int
    greatest: int
    meaning: str
    for_building: bool = True


_ANY = 2**31 - 1

_THREADS = IndexOption(
    0,
    0,
    _ANY,
    "threads that build and search; 0 takes as many as torch. A graph built by one thread is the "
    "same every time, by several it is not",
    for_building=False,
)
_SEED = IndexOption(7, 0, _ANY, "of the layers of a graph, of a training sample and its centroids")

_GRAPH = {
    "M": IndexOption(32, 2, 1024, "links of a document in a layer; in the lowest, twice as many"),
    "ef_construction": IndexOption(200, 1, _ANY, "candidates kept while a document is linked"),
    "ef_search": IndexOption(
        128, 1, _ANY, "candidates kept while a query is answered; k where it is lower", False
    ),
    "seed": _SEED,
    "threads": _THREADS,
}
_INVERTED_LISTS = {
    "nlist": IndexOption(0, 0, _ANY, "inverted lists; 0 makes 4 √n"),
    "nprobe": IndexOption(32, 1, _ANY, "lists read for a query", False),
    "m": IndexOption(0, 0, _ANY, "codes of a vector; 0 makes one for every 8 numbers"),
    "nbits": IndexOption(8, 1, 16, "bits of a code"),
    "train_size": IndexOption(
        0, 0, _ANY, "vectors to learn centroids from; 0 takes 40 a list, at least 65,536"
    ),
    "seed": _SEED,
    "threads": _THREADS,
}

INDEX_OPTIONS: Mapping[str, Mapping[str, IndexOption]] = {
    "hnsw": _GRAPH,
    "faiss-flat": {"threads": _THREADS},
    "faiss-hnsw": _GRAPH,
    "faiss-ivfpq": _INVERTED_LISTS,
}
"""The kinds of index, and the parameters of each."""


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One kind of index with all its parameters.

    Kinds: ``hnsw`` (Malkov and Yashunin, 2018, by hnswlib), ``faiss-hnsw`` (the same by faiss),
    ``faiss-flat`` (every vector is compared), ``faiss-ivfpq`` (inverted lists of product-quantised
    residuals: Jégou, Douze and Schmid, 2011).

    Attributes:
        kind: One of :data:`INDEX_OPTIONS`.
        options: Name -> value; those that are not given get their default.

    Raises:
        UsageError: The kind or a parameter is unknown, or a value is out of range.
    """

    kind: str
    options: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        allowed = INDEX_OPTIONS.get(self.kind)
        if allowed is None:
            raise UsageError(
                f"Unknown index {self.kind!r}.", hint=did_you_mean(self.kind, INDEX_OPTIONS)
            )
        for name, value in self.options.items():
            _check(self.kind, allowed, name, value)
        complete = {
            name: self.options.get(name, option.default) for name, option in allowed.items()
        }
        object.__setattr__(self, "options", MappingProxyType(complete))

    def __getitem__(self, name: str) -> int:
        """The value of a parameter."""
        return self.options[name]

    @property
    def built_with(self) -> dict[str, int]:
        """What determines the content of the index; of a graph, also whether one thread builds it.

        A graph that one thread has built is the same every time. Who asks for that is not given
        one that several have built.
        """
        allowed = INDEX_OPTIONS[self.kind]
        values = {name: self[name] for name, option in allowed.items() if option.for_building}
        return {**values, "sequential": int(self["threads"] == 1)} if "M" in allowed else values


def _check(kind: str, allowed: Mapping[str, IndexOption], name: str, value: object) -> None:
    option = allowed.get(name)
    if option is None:
        raise UsageError(
            f"The index {kind} has no parameter {name!r}.", hint=did_you_mean(name, allowed)
        )
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not option.least <= value <= option.greatest:  # type: ignore[operator]
        most = "" if option.greatest == _ANY else f" and at most {option.greatest}"
        raise UsageError(
            f"{name}={value} is not a value for the index {kind}: a whole number, at least "
            f"{option.least}{most}, is expected.",
            hint=f"{name}: {option.meaning}; {option.default} by default.",
        )
