"""Steps of a replication: what each does, what it needs before, and its line in a list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from hypencli.data.variations import VariationKind

StepKind: TypeAlias = Literal[
    "prepare", "model", "perturb", "lists", "encode", "graph", "search", "eval", "p-mrr"
]


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make a dataset of the hard tasks."""

    dataset: str
    kind: StepKind = "prepare"

    @property
    def needs(self) -> tuple[Step, ...]:
        """Nothing."""
        return ()

    def __str__(self) -> str:
        return f"prepare {self.dataset}"


@dataclass(frozen=True, slots=True)
class TakeModel:
    """Find a model, or register it where it comes from outside."""

    source: str
    backbone: str | None
    pooling: str | None
    made_by: str | None
    kind: StepKind = "model"

    @property
    def needs(self) -> tuple[Step, ...]:
        """Nothing."""
        return ()

    def __str__(self) -> str:
        return f"model {short(self.source)}"


@dataclass(frozen=True, slots=True)
class Perturb:
    """Change queries, as ``hype perturb`` does."""

    queries: str
    variation: VariationKind
    needs: tuple[Step, ...]
    kind: StepKind = "perturb"

    def __str__(self) -> str:
        return f"perturb {short(self.queries)} ({self.variation})"


@dataclass(frozen=True, slots=True)
class ImportLists:
    """Take the lists that a dataset's queries are to rank again into the store, as a run."""

    dataset: str
    place: str
    needs: tuple[Step, ...]
    kind: StepKind = "lists"

    def __str__(self) -> str:
        return f"lists {short(self.place)}"


@dataclass(frozen=True, slots=True)
class Encode:
    """Encode a corpus with a model, for all datasets over it."""

    model: TakeModel
    corpus: str
    prepared: tuple[Step, ...]
    kind: StepKind = "encode"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The model, and the corpus where it is prepared."""
        return (self.model, *self.prepared)

    def __str__(self) -> str:
        return f"encode {short(self.corpus)} with {short(self.model.source)}"


@dataclass(frozen=True, slots=True)
class BuildGraph:
    """Find the neighbours of the documents."""

    encode: Encode
    kind: StepKind = "graph"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The embeddings."""
        return (self.encode,)

    def __str__(self) -> str:
        return f"graph of {short(self.encode.corpus)} with {short(self.encode.model.source)}"


@dataclass(frozen=True, slots=True)
class SearchStep:
    """Search a dataset's queries in one way, or those with changed instructions."""

    encode: Encode
    dataset: str
    search: str
    others: tuple[Step, ...] = ()
    changed: bool = False
    kind: StepKind = "search"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The embeddings, and a graph, lists or changed queries where the search takes them."""
        return (self.encode, *self.others)

    @property
    def way(self) -> str:
        """With which model, in which way."""
        return f"with {short(self.encode.model.source)} ({self.search})"

    def __str__(self) -> str:
        asked = f"{self.dataset}, instructions changed," if self.changed else self.dataset
        return f"search {asked} {self.way}"


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Measure what a search has found."""

    search: SearchStep
    kind: StepKind = "eval"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The run."""
        return (self.search,)

    def __str__(self) -> str:
        return f"eval {self.search.dataset} {self.search.way}"


@dataclass(frozen=True, slots=True)
class Compare:
    """Measure p-MRR: what changed instructions did to the ranking of a dataset."""

    original: SearchStep
    changed: SearchStep
    kind: StepKind = "p-mrr"

    @property
    def needs(self) -> tuple[Step, ...]:
        """Both runs."""
        return (self.original, self.changed)

    def __str__(self) -> str:
        return f"p-MRR {self.original.dataset} {self.original.way}"


Step: TypeAlias = (
    Prepare
    | TakeModel
    | Perturb
    | ImportLists
    | Encode
    | BuildGraph
    | SearchStep
    | Evaluate
    | Compare
)


def short(place: str) -> str:
    """A name for a line: the end of a path, anything else as it is."""
    path = PurePosixPath(place)
    return f"…/{'/'.join(path.parts[-2:])}" if path.is_absolute() else place
