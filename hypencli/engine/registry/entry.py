"""The base class of registered engines, and the context in which an engine is opened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeAlias

from hypencli.errors import UsageError
from hypencli.option_fields import OptionDescription, Options, describe_options, parse_options

if TYPE_CHECKING:
    import torch

    from hypencli.engine.corpus import Ordinals, SearchCorpus, TextCorpus
    from hypencli.engine.graph_walk import Neighbours
    from hypencli.engine.results import Engine, TextEngine
    from hypencli.engine.vector_index.index import VectorIndex
    from hypencli.engine.vector_index.spec import IndexSpec

Need: TypeAlias = Literal["graph", "index", "run"]
"""Artifacts of a store that an engine can need besides the vectors."""

Setting: TypeAlias = Mapping[str, Any]
"""Options of an engine that together set how much it scores."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """The properties of a search that are known before anything is opened.

    Attributes:
        k: Documents a query gets; one more if the query's own document is removed later.
        q_nets: Whether the queries are q-nets; otherwise they are vectors.
        dtype: Arithmetic of the scores, by name.
        width: Hidden width of the q-nets; None means the full width.
    """

    k: int
    q_nets: bool
    dtype: str = "float32"
    width: int | None = None


class EngineContext(Protocol):
    """The parts of a search that an engine gets when it is opened."""

    @property
    def corpus(self) -> SearchCorpus:
        """The documents."""
        ...

    @property
    def request(self) -> SearchRequest:
        """The properties of the search."""
        ...

    @property
    def device(self) -> torch.device:
        """The device that scores."""
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
        """Return the neighbour graph ``[n, k]``, for an engine that needs a graph."""
        ...

    def index(self, spec: IndexSpec) -> VectorIndex:
        """Return a vector index of the documents; it is built once and kept."""
        ...

    def existing_index(self) -> VectorIndex | None:
        """Return the index that `hype index` has built, for an engine that takes one."""
        ...

    def candidates(self) -> list[Ordinals]:
        """Return the documents ``[m]`` of the earlier run for each query of the batch."""
        ...

    def speed_ratios(self) -> Mapping[str, float]:
        """Return how many times faster than float32 this machine scores, by dtype name."""
        ...

    def cached(self, name: str, make: Callable[[Path], None], **determined_by: object) -> Path:
        """Return a folder with the engine's own files, such as an index; it is made once and kept.

        Args:
            name: Short name of its content.
            make: Writes the files into an empty folder.
            determined_by: All that the files depend on besides the documents.
        """
        ...


class EngineEntry(ABC, Generic[Options]):
    """The base class of a registered engine; an instance of a subclass is registered.

    Attributes:
        name: Its name for users, which is part of the ids of its runs.
        summary: A line about what it does.
        options: The frozen dataclass of its options, see :mod:`hypencli.option_fields`.
        queries: The kind of queries it searches with: q-nets, query vectors, or either; texts for
            a :class:`TextEngineEntry`.
        needs: The artifacts it needs of the store. With ``graph``, its options have a field
            ``graph`` (the name or id of a graph, or None) and may have a field ``neighbours``, the
            least number of neighbours. With ``run``, they have a field ``run``.
        approximate: Whether it can miss documents; its recall is then measured.
        opened_for: Whether it is opened once, or for each batch of queries.
        amounts: Options that each set how much is scored; only one of them can be set.
        presets: Name -> options that are set together by ``preset=NAME``.
        settings: The settings that a calibration measures, cheapest first; empty for no
            calibration.
        bounds_recall: Whether it has an option ``recall``, with which it goes on until a bound on
            the recall of each query is as high.
        takes_index: Whether it takes an index of the vectors where there is one. Its options then
            have a field ``index``: a kind, ``auto`` or ``none``.
        package: The module of an optional package that it needs.
        without_package: The name of the engine with the same options that replaces it if that
            package is not installed.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    options: ClassVar[type]
    queries: ClassVar[Literal["any", "q-nets", "vectors", "texts"]] = "any"
    needs: ClassVar[tuple[Need, ...]] = ()
    approximate: ClassVar[bool] = True
    opened_for: ClassVar[Literal["search", "batch"]] = "search"
    amounts: ClassVar[tuple[str, ...]] = ()
    presets: ClassVar[Mapping[str, Setting]] = {}
    settings: ClassVar[tuple[Setting, ...]] = ()
    bounds_recall: ClassVar[bool] = False
    takes_index: ClassVar[bool] = False
    package: ClassVar[str | None] = None
    without_package: ClassVar[str | None] = None

    @abstractmethod
    def open(self, options: Options, context: EngineContext) -> Engine:
        """Return the engine, ready to search."""

    def refuse(self, options: Options, request: SearchRequest) -> None:
        """Refuse options that contradict each other or the search, before anything is opened.

        Raises:
            UsageError: Options contradict each other or the search.
        """

    def inputs(self, options: Options, needed: Mapping[str, str]) -> Mapping[str, Any]:
        """Return what determines a run besides the model, the vectors and the queries.

        Args:
            options: The options of the engine.
            needed: Ids of the artifacts that it reads, under ``graph`` or ``run``, and the name of
                an index that it takes, under ``index``.
        """
        return {**asdict(options), **needed}  # type: ignore[call-overload]

    def run_of(self, options: Options) -> str | None:
        """Return the earlier run that the engine reads, by name or id; None for no run."""
        return getattr(options, "run", None)

    def fitted(self, setting: Setting, n: int) -> Setting:
        """Return a setting of the calibration, adapted to a corpus of ``n`` documents."""
        return setting

    def describe(self) -> list[OptionDescription]:
        """Return descriptions of the options, for people."""
        return describe_options(self.options)

    def parse(self, values: Mapping[str, object]) -> Options:
        """Return options from values by name; text is converted to the type of the option.

        Raises:
            UsageError: An option is unknown, missing or has a wrong value.
        """
        parsed: Options = parse_options(self.options, values, of=f"the engine {self.name}")
        return parsed


class TextEngineEntry(EngineEntry[Options]):
    """The base class of an engine that searches texts, and needs no model."""

    queries = "texts"

    @abstractmethod
    def open_texts(self, options: Options, corpus: TextCorpus) -> TextEngine:
        """Return the engine, ready to search."""

    def refuse_options(self, options: Options) -> None:
        """Refuse options that the engine does not know, before a text is read.

        Raises:
            UsageError: An option has a wrong value.
        """

    def open(self, options: Options, context: EngineContext) -> Engine:
        """Refuse a model.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            f"The engine {self.name} searches texts, without a model.",
            hint="Leave the model out.",
        )
