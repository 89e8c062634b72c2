"""Specifications of vector indexes, with parameters under their usual names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from hypencli.errors import UsageError, did_you_mean
from hypencli.option_fields import LARGEST, parse_options

_Threads = Annotated[
    int,
    Field(
        ge=0,
        le=LARGEST,
        description="threads that build and search; 0 takes as many as torch. A graph built by one "
        "thread is the same every time, by several it is not",
    ),
]
_Seed = Annotated[
    int,
    Field(
        ge=0,
        le=LARGEST,
        description="of the layers of a graph, of a training sample and its centroids",
    ),
]


@dataclass(frozen=True, slots=True)
class SmallWorldOptions:
    """Parameters of a hierarchical navigable small world graph."""

    M: Annotated[
        int,
        Field(
            ge=2,
            le=1024,
            description="links of a document in a layer; in the lowest, twice as many",
        ),
    ] = 32
    ef_construction: Annotated[
        int,
        Field(ge=1, le=LARGEST, description="candidates kept while a document is linked"),
    ] = 200
    ef_search: Annotated[
        int,
        Field(
            ge=1,
            le=LARGEST,
            description="candidates kept while a query is answered; k where it is lower",
        ),
    ] = 128
    seed: _Seed = 7
    threads: _Threads = 0


@dataclass(frozen=True, slots=True)
class FaissSmallWorldOptions(SmallWorldOptions):
    """Parameters of a graph of faiss."""

    bits: Annotated[
        int,
        Field(
            ge=0,
            le=32,
            multiple_of=16,
            description="bits of a number of a vector; 0 takes 16 for a set that is stored in "
            "float16, where nothing is lost, and 32 otherwise",
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class FlatOptions:
    """Parameters of an index that compares every vector."""

    threads: _Threads = 0


@dataclass(frozen=True, slots=True)
class InvertedListOptions:
    """Parameters of inverted lists of product-quantised vectors."""

    nlist: Annotated[int, Field(ge=0, le=LARGEST, description="inverted lists; 0 makes 4 √n")] = 0
    nprobe: Annotated[int, Field(ge=1, le=LARGEST, description="lists read for a query")] = 32
    m: Annotated[
        int,
        Field(ge=0, le=LARGEST, description="codes of a vector; 0 makes one for every 8 numbers"),
    ] = 0
    nbits: Annotated[int, Field(ge=1, le=16, description="bits of a code")] = 8
    train_size: Annotated[
        int,
        Field(
            ge=0,
            le=LARGEST,
            description="vectors to learn centroids from; 0 takes 40 a list, at least 65,536",
        ),
    ] = 0
    seed: _Seed = 7
    threads: _Threads = 0


@dataclass(frozen=True, slots=True)
class MappedListOptions:
    """Parameters of inverted lists of whole vectors, which are mapped from disk."""

    nlist: Annotated[int, Field(ge=0, le=LARGEST, description="inverted lists; 0 makes 4 √n")] = 0
    nprobe: Annotated[int, Field(ge=1, le=LARGEST, description="lists read for a query")] = 32
    bits: Annotated[
        int,
        Field(
            ge=8,
            le=16,
            multiple_of=8,
            description="bits of a number of a vector: 16 for float16, 8 for one byte",
        ),
    ] = 16
    train_size: Annotated[
        int,
        Field(
            ge=0,
            le=LARGEST,
            description="vectors to learn centroids from; 0 takes 20 a list, at most 256 MiB",
        ),
    ] = 0
    seed: _Seed = 7
    threads: _Threads = 0


INDEX_OPTIONS: Mapping[str, type] = {
    "hnsw": SmallWorldOptions,
    "faiss-flat": FlatOptions,
    "faiss-flat16": FlatOptions,
    "faiss-hnsw": FaissSmallWorldOptions,
    "faiss-ivf": MappedListOptions,
    "faiss-ivfpq": InvertedListOptions,
}
"""The kinds of index, and the parameters of each."""

MAPPED_KINDS: Mapping[str, str] = {
    "ivf": "faiss-ivf",
    "hnsw": "faiss-hnsw",
    "flat16": "faiss-flat16",
}
"""The kinds that ``hype index`` builds: name for users -> kind. A search maps them from disk."""

_OF_SEARCHES = ("ef_search", "nprobe", "threads")
"""Parameters that affect searches only, not the index that is built."""


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """A kind of index with all its parameters.

    Kinds: ``hnsw`` (Malkov and Yashunin, 2018, by hnswlib), ``faiss-hnsw`` (by faiss),
    ``faiss-flat`` (every vector is compared), ``faiss-flat16`` (the same in float16, mapped from
    disk), ``faiss-ivf`` (inverted lists of whole vectors), ``faiss-ivfpq`` (inverted lists of
    product-quantised residuals: Jégou, Douze and Schmid, 2011).

    Attributes:
        kind: One of :data:`INDEX_OPTIONS`.
        options: Parameter name -> value; unset parameters get their defaults.

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
        complete = asdict(parse_options(allowed, self.options, of=f"the engine {self.kind}"))
        object.__setattr__(self, "options", MappingProxyType(complete))

    def __getitem__(self, name: str) -> int:
        """Return the value of a parameter."""
        return self.options[name]

    def for_vectors(self, dtype: str) -> IndexSpec:
        """Return the specification with the bits that suit vectors stored in a NumPy dtype."""
        if self.options.get("bits") != 0:
            return self
        return IndexSpec(self.kind, {**self.options, "bits": 16 if dtype == "float16" else 32})

    @property
    def built_with(self) -> dict[str, int]:
        """The parameters that determine the content; for a graph, also if one thread builds it.

        A graph built by one thread is reproducible, so a request for one thread never gets a graph
        that several threads built.
        """
        values = {name: self[name] for name in self.options if name not in _OF_SEARCHES}
        return {**values, "sequential": int(self["threads"] == 1)} if "M" in values else values


@dataclass(frozen=True, slots=True)
class DescribedIndex:
    """An index of the store, for people.

    Attributes:
        embeddings: Id of the embedding set.
        kind: ``ivf``, ``hnsw`` or ``flat16``.
        cache: Name of the cache.
        options: Parameters that the index was built with.
        size_bytes: Size of its files.
        recall: Effort -> depth -> recall of inner products, on a sample of queries.
        build_seconds: Time of the build in seconds; None for an existing index.
    """

    embeddings: str
    kind: str
    cache: str
    options: Mapping[str, int]
    size_bytes: int
    recall: Mapping[int, Mapping[int, float]]
    build_seconds: float | None = None
