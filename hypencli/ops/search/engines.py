"""Preparation of engines: options, required artifacts, and opening."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.engine.registry.entry import EngineEntry, SearchRequest
from hypencli.engine.registry.lookup import engine_entries, installed_entry
from hypencli.errors import DataError, UsageError
from hypencli.ops.models import display_name
from hypencli.ops.search.options import EngineSpec, SearchOptions
from hypencli.ops.search.scan import speed_ratios
from hypencli.ops.search.target import SearchTarget
from hypencli.progress import SILENT, Progress
from hypencli.runtime import cache_name, resolve_device, resolve_dtype
from hypestore import EmbeddingSet, JsonValue, Manifest, ResultsByQuery

if TYPE_CHECKING:
    import torch

    from hypencli.engine.corpus import Ordinals
    from hypencli.engine.graph_walk import Neighbours
    from hypencli.engine.results import Engine
    from hypencli.engine.vector_index.index import VectorIndex
    from hypencli.engine.vector_index.spec import IndexSpec


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """An engine with its options, not opened yet.

    Attributes:
        target: Model and documents.
        entry: The engine in the registry.
        options: Options, of the type that the entry names.
        request: Parameters of the search.
        device: Device of the scores. None selects the best one.
        needed: Artifacts that the engine reads: ``graph``, ``run``.
        calibration: Inputs of the run from a calibration: its id, and the recall.
        index: Name of the vector index that the engine takes, if it takes one.
        asked: Name of the requested engine. It differs from that of the entry if a package is
            missing.
    """

    target: SearchTarget
    entry: EngineEntry[Any]
    options: Any
    request: SearchRequest
    device: str | None = None
    needed: Mapping[str, Manifest] = field(default_factory=dict)
    calibration: Mapping[str, JsonValue] = field(default_factory=dict)
    index: str | None = None
    asked: str = ""

    @property
    def inputs(self) -> Mapping[str, JsonValue]:
        """Inputs of a run from the engine."""
        ids = {need: manifest.id for need, manifest in self.needed.items()}
        if self.index is not None:
            ids["index"] = self.index
        return {**self.entry.inputs(self.options, ids), **self.calibration}

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the artifacts that the engine reads."""
        calibrations = (str(self.calibration["calibration"]),) if self.calibration else ()
        return (*(manifest.id for manifest in self.needed.values()), *calibrations)

    def refuse_other_queries(self, query_ids: Sequence[str], progress: Progress) -> None:
        """Refuse an earlier run that has no documents for any of these queries.

        Where it has some for a part of the queries, the others are counted in a message.

        Raises:
            DataError: The run has no results for any of the queries.
        """
        run = self.needed.get("run")
        if run is None:
            return
        results = self.target.store.run(run.id).by_query()
        lacking = [query_id for query_id in query_ids if not results.doc_ids(query_id)]
        if len(lacking) == len(query_ids):
            known = next(iter(results.query_ids), None)
            has = "no results" if known is None else f"results of queries such as {known!r}"
            raise DataError(
                f"The run {display_name(run)} has nothing to {self._does} for the "
                f"{len(query_ids):,} queries, such as {query_ids[0]!r}: it has {has}.",
                hint="Name a run of the same queries: hype ls runs",
            )
        if lacking:
            then = "get no results" if "run" in self.entry.needs else "begin at random documents"
            progress.message(
                f"the run {display_name(run)} has no documents for {len(lacking):,} of "
                f"{len(query_ids):,} queries, such as {lacking[0]!r}: these {then}"
            )

    @property
    def _does(self) -> str:
        """What the engine does with the documents of an earlier run."""
        return "rerank" if "run" in self.entry.needs else "begin with"

    def open(self, corpus: EmbeddingSet, progress: Progress) -> Callable[[Sequence[str]], Engine]:
        """Open the engine. The result returns the engine for a batch of query ids."""
        if self.asked != self.entry.name:
            progress.message(
                f"the package of the engine {self.asked} is missing: using {self.entry.name}"
            )
        context = StoreContext(self, corpus, progress)
        if "run" in self.needed:
            results = self.target.store.run(self.needed["run"].id).by_query()
            context = replace(context, results=results)
        if self.entry.opened_for == "batch" or "run" in self.needed:
            return lambda ids: self.entry.open(self.options, replace(context, query_ids=ids))
        engine = self.entry.open(self.options, context)
        return lambda ids: engine


def plan_engine(target: SearchTarget, options: SearchOptions) -> EnginePlan:
    """Select an engine by its options. Only manifests are read.

    A recall in the options is ignored; see :mod:`hypencli.ops.search.calibrations`.

    Raises:
        UsageError: There is no such engine, it does not support the queries of the model, an option
            is unknown or wrong, or a required artifact is not in the store.
    """
    scoring = options.scoring
    entry, parsed = parse_spec(options.engine)
    request = SearchRequest(
        k=options.depth, q_nets=target.has_q_nets, dtype=scoring.dtype, width=scoring.width
    )
    needed = find_needed(target, entry, parsed)
    entry.refuse(parsed, request)
    _refuse_wrong_queries(entry, target)
    index = None
    if entry.takes_index:
        from hypencli.ops.search.vector_index import existing_index

        index = existing_index(target.store, target.embeddings.id, parsed.index)
    return EnginePlan(
        target,
        entry,
        parsed,
        request,
        scoring.device,
        needed,
        index=index,
        asked=options.engine.name,
    )


def parse_spec(spec: EngineSpec) -> tuple[EngineEntry[Any], Any]:
    """Look up the engine of a specification, and check its options.

    Raises:
        UsageError: There is no such engine, or an option is unknown or wrong.
    """
    entry = installed_entry(spec.name)
    values = with_preset(entry, spec.options)
    refuse_several_amounts([name for name in entry.amounts if name in values])
    return entry, _parsed(entry, values)


def with_preset(entry: EngineEntry[Any], values: Mapping[str, object]) -> Mapping[str, object]:
    """Replace the option ``preset`` by the options of the preset. Other options take precedence.

    Raises:
        UsageError: The engine has no such preset.
    """
    if not entry.presets or "preset" not in values:
        return values
    others = dict(values)
    preset = entry.presets.get(str(others.pop("preset")))
    if preset is None:
        raise UsageError(
            f"The engine {entry.name} has no preset {values['preset']}.",
            hint=f"Presets: {', '.join(entry.presets)}.",
        )
    return {**preset, **others}


def find_needed(
    target: SearchTarget, entry: EngineEntry[Any], options: Any
) -> Mapping[str, Manifest]:
    """Find the artifacts that an engine reads besides the vectors.

    Returns:
        Role (``graph``, ``run``) -> artifact.

    Raises:
        UsageError: The store has no graph that fits.
        ArtifactNotFound: The store has no such run.
    """
    store = target.store
    needed: dict[str, Manifest] = {}
    if "graph" in entry.needs:
        from hypencli.ops.graphs.find import find_graph

        least = getattr(options, "neighbours", None) or 1
        needed["graph"] = find_graph(store, target.embeddings.id, k=least, named=options.graph)
    run = entry.run_of(options)
    if run is not None:
        needed["run"] = store.get(run, kind="run")
    return needed


def _parsed(entry: EngineEntry[Any], values: Mapping[str, object]) -> Any:
    """Parse the options of an engine. The error on an option of other engines names them."""
    own = {one.name for one in entry.describe()}
    for name in values:
        others = [
            other.name
            for other in engine_entries()
            if name in {one.name for one in other.describe()}
            or (name == "preset" and other.presets)
        ]
        if name not in own and others:
            raise UsageError(
                f"{name} is an option of {' and '.join(others)}, not of {entry.name}.",
                hint=f"Use the engine {others[0]}, or leave {name} out. Options of "
                f"{entry.name}: {', '.join(sorted(own)) or 'none'}.",
            )
    return entry.parse(values)


def refuse_several_amounts(names: Sequence[str]) -> None:
    """Refuse more than one option that sets the number of scored documents.

    Raises:
        UsageError: There are several such options.
    """
    if len(names) > 1:
        raise UsageError(
            f"{names[0]} and {names[1]} exclude each other: each sets how much is scored.",
            hint="Use one of them.",
        )


def _refuse_wrong_queries(entry: EngineEntry[Any], target: SearchTarget) -> None:
    kind = "q-nets" if target.has_q_nets else "vectors"
    if entry.queries in ("any", kind):
        return
    fitting = [one.name for one in engine_entries() if one.queries in ("any", kind)]
    asks, makes = (
        ("q-nets", "is a bi-encoder")
        if entry.queries == "q-nets"
        else ("query vectors", "makes q-nets")
    )
    raise UsageError(
        f"The engine {entry.name} searches with {asks}; {display_name(target.model)} {makes}.",
        hint=f"Engines for this model: {', '.join(fitting)}. Other models: hype ls models",
    )


@dataclass(frozen=True, slots=True)
class StoreContext:
    """Access of an engine to a project store.

    Attributes:
        plan: The engine to open.
        corpus: The documents.
        progress: Where to report the build of an index.
        query_ids: Ids of the queries of a batch, for an engine that is opened for each batch.
        results: Results of an earlier run, for an engine that reads one.
    """

    plan: EnginePlan
    corpus: EmbeddingSet
    progress: Progress = SILENT
    query_ids: Sequence[str] = ()
    results: ResultsByQuery | None = None

    @property
    def request(self) -> SearchRequest:
        """Parameters of the search."""
        return self.plan.request

    @property
    def device(self) -> torch.device:
        """Device of the scores."""
        return resolve_device(self.plan.device)

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of the scores."""
        return resolve_dtype(self.request.dtype)

    def neighbours(self) -> Neighbours:
        """Open the neighbour graph ``[n, k]``."""
        return self.plan.target.store.graph(self.plan.needed["graph"].id).neighbours

    def index(self, spec: IndexSpec) -> VectorIndex:
        """Open a vector index of the documents. It is built once and cached."""
        from hypencli.ops.search.vector_index import open_index

        return open_index(self.plan.target.store, self.corpus, spec, self.progress).index

    def existing_index(self) -> VectorIndex | None:
        """Open the index that the engine takes, if there is one."""
        if self.plan.index is None:
            return None
        from hypencli.ops.search.vector_index import open_existing

        return open_existing(self.plan.target.store, self.plan.index)

    def candidates(self) -> list[Ordinals]:
        """Return the ordinals ``[m]`` of an earlier run's documents, for each query of the batch.

        Raises:
            DataError: A document of the run is not in the embedding set.
        """
        run, results = self.plan.needed["run"], self.results
        if results is None:
            return []
        return [
            _rankable(self.corpus, results.doc_ids(query_id), run) for query_id in self.query_ids
        ]

    def speed_ratios(self) -> Mapping[str, float]:
        """Map the name of a dtype to its speed on this machine, relative to float32."""
        width = self.request.width or self.corpus.dim
        return speed_ratios(self.plan.target.store, self.corpus.dim, width)

    def cached(self, name: str, make: Callable[[Path], None], **determined_by: object) -> Path:
        """Return a folder for files of the engine, such as an index. It is made once and cached."""
        about = {"embeddings": self.corpus.manifest.id, "determined_by": determined_by}
        store = self.plan.target.store
        return store.cached(cache_name(f"{self.plan.entry.name}-{name}", **about), make)


def _rankable(corpus: EmbeddingSet, doc_ids: list[str], run: Manifest) -> Ordinals:
    """Find the ordinals of documents, all of which must be in the embedding set."""
    ordinals = corpus.ordinals(doc_ids)
    missing = [doc_id for doc_id, place in zip(doc_ids, ordinals, strict=True) if place < 0]
    if missing:
        raise DataError(
            f"The run {display_name(run)} ranks {missing[0]!r}, which is not in the embedding set "
            f"{display_name(corpus.manifest)} ({len(missing)} such documents for one query).",
            hint="Rerank a run of the same corpus, or name its embedding set.",
        )
    return ordinals
