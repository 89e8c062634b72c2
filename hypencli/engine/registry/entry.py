"""What an engine says of itself, and what it is handed when it is opened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeAlias

from hypencli.option_fields import OptionDescription, Options, describe_options, parse_options

if TYPE_CHECKING:
    import torch

    from hypencli.engine.corpus import Ordinals, SearchCorpus
    from hypencli.engine.graph_walk import Neighbours
    from hypencli.engine.results import Engine
    from hypencli.engine.vector_index.index import VectorIndex
    from hypencli.engine.vector_index.spec import IndexSpec

Need: TypeAlias = Literal["graph", "index", "run"]
"""What an engine can need of a store beside the vectors."""

Setting: TypeAlias = Mapping[str, Any]
"""Options of an engine that together say how much it scores."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What a search asks of its engine, known before anything is opened.

    Attributes:
        k: Documents a query gets, one more where its own is left out afterwards.
        q_nets: Whether the queries are q-nets; else they are vectors.
        dtype: Arithmetic of the scores, by name.
        width: Hidden width of the q-nets; None is the full one.
    """

    k: int
    q_nets: bool
    dtype: str = "float32"
    width: int | None = None


class EngineContext(Protocol):
    """What an engine is opened with."""

    @property
    def corpus(self) -> SearchCorpus:
        """The documents."""
        ...

    @property
    def request(self) -> SearchRequest:
        """What the search asks."""
        ...

    @property
    def device(self) -> torch.device:
        """Where to score."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of the scores."""
        ...

    @property
    def query_ids(self) -> Sequence[str]:
        """The ids of the batch's queries, for an engine that is opened for each batch."""
        ...

    def neighbours(self) -> Neighbours:
        """The neighbour graph ``[n, k]``, of an engine that needs a graph."""
        ...

    def index(self, spec: IndexSpec) -> VectorIndex:
        """A vector index of the documents; it is built once and kept."""
        ...

    def candidates(self) -> list[Ordinals]:
        """The documents ``[m]`` that the earlier run has for each query of the batch."""
        ...

    def speed_ratios(self) -> Mapping[str, float]:
        """How many times faster than float32 this machine scores, by the name of the dtype."""
        ...

    def cached(self, name: str, make: Callable[[Path], None], **determined_by: object) -> Path:
        """A folder with files of the engine's own, such as an index; it is made once and kept.

        Args:
            name: Short name of what is in it.
            make: Writes the files into an empty folder.
            determined_by: What they depend on beside the documents.
        """
        ...


class EngineEntry(ABC, Generic[Options]):
    """An engine in the registry: one subclass, an instance of which is registered.

    Attributes:
        name: What users call it, and part of the ids of its runs.
        summary: What it does, in a line.
        options: The frozen dataclass of its options, see :mod:`hypencli.option_fields`.
        queries: What it searches with: q-nets, query vectors, or either.
        needs: What it needs of the store. With ``graph`` its options have a field ``graph``, the
            name or id of the graph or None, and may have ``neighbours``, the least number of them.
            With ``run`` they have a field ``run``.
        approximate: Whether it can miss documents; what was missed is then measured.
        opened_for: Whether it is opened once, or for each batch of queries.
        amounts: Options that each say how much is scored: only one of them can be set.
        presets: Name -> options that are set together by ``preset=NAME``.
        settings: What a calibration measures, from the cheapest to the dearest; none: it has no
            calibration.
        package: Module of an optional package that it needs.
        without_package: The engine with the same options that searches in its place where that
            package is not installed.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    options: ClassVar[type]
    queries: ClassVar[Literal["any", "q-nets", "vectors"]] = "any"
    needs: ClassVar[tuple[Need, ...]] = ()
    approximate: ClassVar[bool] = True
    opened_for: ClassVar[Literal["search", "batch"]] = "search"
    amounts: ClassVar[tuple[str, ...]] = ()
    presets: ClassVar[Mapping[str, Setting]] = {}
    settings: ClassVar[tuple[Setting, ...]] = ()
    package: ClassVar[str | None] = None
    without_package: ClassVar[str | None] = None

    @abstractmethod
    def open(self, options: Options, context: EngineContext) -> Engine:
        """The engine, ready to search."""

    def refuse(self, options: Options, request: SearchRequest) -> None:
        """Refuse options that contradict each other or the search, before anything is opened.

        Raises:
            UsageError: They do.
        """

    def inputs(self, options: Options, needed: Mapping[str, str]) -> Mapping[str, Any]:
        """What determines a run of this engine, beside the model, the vectors and the queries.

        Args:
            options: How it searches.
            needed: Ids of the artifacts that it reads, by ``graph`` or ``run``.
        """
        return {**asdict(options), **needed}  # type: ignore[call-overload]

    def fitted(self, setting: Setting, n: int) -> Setting:
        """A setting of the calibration for a corpus of ``n`` documents."""
        return setting

    def describe(self) -> list[OptionDescription]:
        """The options, for people."""
        return describe_options(self.options)

    def parse(self, values: Mapping[str, object]) -> Options:
        """Options from values by name; text is read as the type of the option.

        Raises:
            UsageError: An option is unknown, missing or has a wrong value.
        """
        parsed: Options = parse_options(self.options, values, of=f"the engine {self.name}")
        return parsed
