"""Search of texts by an engine without a model, such as BM25, stored as a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.data.queries import IdentifiedQueries, QuerySet
from hypencli.engine.registry.entry import TextEngineEntry
from hypencli.engine.registry.lookup import engine_entries, installed_entry
from hypencli.errors import DataError, UsageError
from hypencli.ops.drafts import discard_on_error, find_finished, name_not_given
from hypencli.ops.models import ModelSource
from hypencli.ops.search.engines import parse_spec
from hypencli.ops.search.options import EngineSpec, Searched, SearchOptions
from hypencli.ops.search.outcome import evaluate_run, run_outcome, tell_empty
from hypencli.ops.search.scoring import append_rankings, without_own_documents
from hypencli.ops.select import choose_texts, own_queries
from hypencli.own_places import place_seals
from hypencli.progress import SILENT, Progress
from hypencli.records import Query
from hypencli.runtime import cache_name, provenance
from hypestore import EmbeddingSet, JsonValue, Manifest, RunWriter, Store

if TYPE_CHECKING:
    from hypencli.engine.results import SearchResult, TextEngine

_BATCH = 64
"""Queries between two steps of the progress bar and two writes."""


@dataclass(frozen=True, slots=True)
class StoreTexts:
    """The texts of an embedding set, as an engine sees them: one part for each shard.

    Attributes:
        store: The project store, which caches the files of the engine.
        engine: Name of the engine.
        corpus: The documents.
        progress: Where to report what is built.
    """

    store: Store
    engine: str
    corpus: EmbeddingSet
    progress: Progress = SILENT

    @property
    def n_parts(self) -> int:
        """Number of shards."""
        return len(self.corpus.shards)

    def texts(self, part: int) -> Sequence[str]:
        """Return the texts of one shard."""
        shard = self.corpus.shards[part]
        return self.corpus.texts(range(shard.offset, shard.offset + shard.n))

    def ids(self, ordinals: Any, /) -> Sequence[str]:
        """Return the ids of documents, in the order of ``ordinals``."""
        return self.corpus.ids(ordinals)

    def cached(self, name: str, make: Callable[[Path], None], **determined_by: object) -> Path:
        """Return a folder for files of the engine. It is made once and cached."""
        about = {"embeddings": self.corpus.manifest.id, "determined_by": determined_by}

        def make_and_tell(folder: Path) -> None:
            self.progress.message(f"{self.engine}: making the {name} of {self.corpus.manifest.id}")
            make(folder)

        return self.store.cached(cache_name(f"{self.engine}-{name}", **about), make_and_tell)


@dataclass(frozen=True, slots=True)
class TextPlan:
    """A text engine with its options and its documents, not opened yet.

    Attributes:
        store: The project store.
        embeddings: Embedding set with the texts.
        entry: The engine in the registry.
        options: Options, of the type that the entry names.
    """

    store: Store
    embeddings: Manifest
    entry: TextEngineEntry[Any]
    options: Any

    @classmethod
    def resolve(
        cls, store: Store, model: ModelSource, options: SearchOptions, corpus: str | None
    ) -> TextPlan:
        """Find the texts, and check the options.

        Args:
            store: The project store.
            model: No model.
            options: Options of the search.
            corpus: Corpus of the queries, if the options name none.

        Raises:
            UsageError: An option does not fit an engine of texts, or no embedding set or several
                sets fit.
        """
        entry, parsed = parse_spec(options.engine)
        if not isinstance(entry, TextEngineEntry):
            raise TypeError(f"{entry.name} is no engine of texts.")
        _refuse_options_of_models(entry.name, model, options)
        entry.refuse_options(parsed)
        embeddings = choose_texts(
            store, named=options.target.embeddings, corpus=options.target.corpus or corpus
        )
        return cls(store, embeddings, entry, parsed)

    def open(self, progress: Progress) -> tuple[EmbeddingSet, TextEngine]:
        """Open the documents and the engine."""
        corpus = self.store.embeddings(self.embeddings.id)
        context = StoreTexts(self.store, self.entry.name, corpus, progress)
        return corpus, self.entry.open_texts(self.options, context)

    def run_inputs(
        self, queries: IdentifiedQueries, options: SearchOptions
    ) -> dict[str, JsonValue]:
        """Return the inputs that determine a run and its id."""
        return {
            "engine": self.entry.name,
            "model": None,
            "embeddings": self.embeddings.id,
            "corpus": self.embeddings.inputs["corpus"],
            "queries": queries.id,
            "queries_fingerprint": queries.fingerprint,
            "k": options.k,
            "exclude_same_id": options.exclude_same_id,
            **self.entry.inputs(self.options, {}),
        }

    def existing(self, queries: IdentifiedQueries, options: SearchOptions) -> Manifest | None:
        """Find the finished run. Queries that were not read are compared by the id of the set."""
        inputs = self.run_inputs(queries, options)
        return find_finished(self.store, "run", inputs, perhaps_unread="queries_fingerprint")


def text_engine_names() -> list[str]:
    """Return the names of the engines that search texts, without a model."""
    return [entry.name for entry in engine_entries() if isinstance(entry, TextEngineEntry)]


def is_text_engine(spec: EngineSpec) -> bool:
    """Whether an engine searches texts, without a model.

    Raises:
        UsageError: There is no such engine.
    """
    return isinstance(installed_entry(spec.name), TextEngineEntry)


def search_texts(
    store: Store,
    queries: QuerySet | None,
    model: ModelSource,
    options: SearchOptions,
    progress: Progress = SILENT,
) -> Searched:
    """Find the best ``k`` documents for the text of every query, and store them as a run.

    A query gets fewer documents where fewer have one of its words.

    Args:
        store: The project store.
        queries: The query set. None selects that of the encoded dataset.
        model: No model.
        options: Documents, engine and output.
        progress: Where to report.

    Raises:
        UsageError: An option does not fit the engine, or no embedding set or several sets fit.
        DataError: The query set is empty.
        MissingDependencyError: The library of the engine is not installed.
    """
    plan = TextPlan.resolve(store, model, options, None if queries is None else queries.corpus_id)
    if queries is None:
        queries = own_queries(plan.embeddings, options.output.qrels)
    tell_empty(queries, progress)
    inputs, name = plan.run_inputs(queries, options), options.output.name
    prefix = f"{plan.embeddings.id.rpartition('-')[0]}-{plan.entry.name}"
    parents = (plan.embeddings.id,)
    with store.run_writer(prefix, inputs, parents=parents, name=name) as writer:
        done = writer.existing
        existing = done is not None
        if done is None:
            with discard_on_error(writer):
                done = _write(writer, plan, queries, options, progress)
        else:
            progress.message(f"this run exists: {done.id}")
    evaluation = evaluate_run(store, done, queries, options.output, progress)
    outcome = run_outcome(done, None, existing=existing, evaluation=evaluation)
    return replace(outcome, name_not_given=name_not_given(store, done, name))


def _write(
    writer: RunWriter,
    plan: TextPlan,
    queries: QuerySet,
    options: SearchOptions,
    progress: Progress,
) -> Manifest:
    """Search all queries and commit the run."""
    listed = list(queries)
    if not listed:
        raise DataError(f"The query set {queries.id} has no queries to search.")
    corpus, engine = plan.open(progress)
    writer.queries([(query.query_id, query.text) for query in listed])
    results: list[SearchResult] = []
    n_results = 0
    with progress.task("search", total=len(listed), unit="queries") as task:
        for start in range(0, len(listed), _BATCH):
            batch = listed[start : start + _BATCH]
            results.append(_search(engine, batch, options))
            ids = [query.query_id for query in batch]
            n_results += append_rankings(writer, ids, results[-1].rankings)
            task.advance(len(batch))
    seconds = sum((each.seconds for each in results[1:]), results[0].seconds)
    stats: Mapping[str, JsonValue] = {
        "n_queries": len(listed),
        "n_documents": corpus.n,
        "n_results": n_results,
        "qrels": queries.qrels,
        "seconds": {**asdict(seconds), "total": seconds.total},
    }
    if queries.variation is not None:
        stats = {**stats, "variation": queries.variation._asdict()}
    made_with = {**provenance(), **place_seals(qrels=queries.qrels)}
    return writer.commit(stats=stats, provenance=made_with)


def _search(engine: TextEngine, batch: Sequence[Query], options: SearchOptions) -> SearchResult:
    result = engine.search([query.text for query in batch], k=options.depth)
    ids = [query.query_id for query in batch]
    return without_own_documents(result, ids, options)


def _refuse_options_of_models(engine: str, model: ModelSource, options: SearchOptions) -> None:
    """Refuse what only a search with a model has."""
    output, scoring = options.output, options.scoring
    named = {
        "model": model.name is not None,
        "recall": options.engine.recall is not None,
        "check": output.check is not None,
        "again": output.again,
        "width": scoring.width is not None,
    }
    for option, is_set in named.items():
        if is_set:
            raise UsageError(
                f"The engine {engine} searches texts, without a model: `{option}` means nothing to "
                "it.",
                hint=f"Leave `{option}` out.",
            )
