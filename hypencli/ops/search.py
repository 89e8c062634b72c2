"""Exact search of a query set over an embedding set, stored as a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING

import hypestore
from hypencli.data.queries import QuerySet
from hypencli.errors import DataError, ModelError
from hypencli.ops.choose import choose_embeddings, own_queries
from hypencli.ops.evaluate import Evaluated, EvaluateOptions, evaluate
from hypencli.ops.models import LoadedModel, ModelSource, find_model, label, load_model
from hypencli.progress import SILENT, Progress, Task
from hypencli.records import Ranking
from hypencli.runtime import provenance, resolve_device, resolve_dtype
from hypestore import EmbeddingSet, Manifest, RunWriter, Store

if TYPE_CHECKING:
    import torch

    from hypencli.engine.exact import Block, ExactSearch
    from hypencli.engine.scorers import Scorer
    from hypencli.models.encoding import EncodedQueries
    from hypencli.models.qnet import QNetBatch

Q_NET_BYTES = 1 << 30
"""Memory that the q-nets of one batch of queries may take when ``batch_queries`` is automatic."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How a search is done.

    Attributes:
        k: Documents a query gets.
        embeddings: The embedding set; None finds it by model and corpus.
        corpus: Corpus id, where the queries do not say and several are encoded.
        query_max_length: Tokens a query is cut to.
        width: Hidden width of the q-nets, of a model that nests several; None is the full one.
        batch_queries: Queries scored in one pass over the corpus; None fills 1 GiB with q-nets.
        exclude_same_id: Leave out the document whose id is the query's.
        device: Where to score; None takes the best there is.
        dtype: Arithmetic of the scores.
        name: Name of the run.
        qrels: Judgements to evaluate with; None takes the query set's own, if any.
        measures: What to measure; None takes the default set.
    """

    k: int = 1000
    embeddings: str | None = None
    corpus: str | None = None
    query_max_length: int = 64
    width: int | None = None
    batch_queries: int | None = None
    exclude_same_id: bool = False
    device: str | None = None
    dtype: str = "float32"
    name: str | None = None
    qrels: str | None = None
    measures: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SearchSeconds:
    """Where the time of a search went."""

    query_encoding: float = 0.0
    scoring: float = 0.0
    topk: float = 0.0
    writing: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return self.query_encoding + self.scoring + self.topk + self.writing

    def plus(self, **parts: float) -> SearchSeconds:
        """The same with the given parts increased."""
        return replace(self, **{name: getattr(self, name) + more for name, more in parts.items()})


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search did.

    Attributes:
        run: Id of the run.
        width: Hidden width of the q-nets, where one was asked for.
        existing: Whether the same search had been done before, and nothing was done now.
        evaluation: Measures, where judgements are known.
    """

    run: str
    name: str | None
    model: str
    embeddings: str
    corpus: str
    queries: str
    engine: str
    k: int
    width: int | None
    n_queries: int
    n_documents: int
    n_results: int
    seconds: SearchSeconds
    existing: bool
    evaluation: Evaluated | None = None


def search(
    store: Store,
    queries: QuerySet | None,
    model: ModelSource,
    options: SearchOptions | None = None,
    progress: Progress = SILENT,
) -> Searched:
    """Score every document of an embedding set for every query and keep the best ``k``.

    Args:
        store: The project store.
        queries: The query set; None takes that of the encoded dataset.
        model: The model whose q-nets or query vectors search.
        options: See :class:`SearchOptions`.
        progress: Where to report.

    Raises:
        UsageError: No embedding set fits the model and the corpus, or several do.
        DataError: The query set is empty.
        ModelError: The model has no q-nets of that width.
    """
    options = options or SearchOptions()
    manifest = find_model(store, model, progress)
    chosen = choose_embeddings(
        store,
        manifest,
        named=options.embeddings,
        corpus=options.corpus or (None if queries is None else queries.corpus_id),
        progress=progress,
    )
    if queries is None:
        queries = own_queries(chosen)
    embeddings = store.embeddings(chosen.id)
    inputs = _inputs(manifest, chosen, queries, options)
    slug = f"{chosen.id.rpartition('-')[0]}-{manifest.name or manifest.id}-exact"
    slug += "" if options.width is None else f"-w{options.width}"
    parents = (manifest.id, chosen.id)
    with store.run_writer(slug, inputs, parents=parents, name=options.name) as writer:
        done = writer.existing
        existing = done is not None
        if done is None:
            texts = [query.text for query in queries]
            if not texts:
                raise DataError(f"The query set {queries.id} has no queries; nothing to search.")
            loaded = load_model(store, manifest, device=resolve_device(options.device))
            _check_width(writer, loaded, options.width)
            done = _run(writer, loaded, embeddings, queries, options, progress)
        else:
            progress.message(f"this search was done before: {done.id}")
    evaluation = _evaluate(store, done, queries, options, progress)
    return _outcome(done, manifest, existing=existing, evaluation=evaluation)


def _inputs(
    model: Manifest, embeddings: Manifest, queries: QuerySet, options: SearchOptions
) -> dict[str, hypestore.JsonValue]:
    inputs: dict[str, hypestore.JsonValue] = {
        "engine": "exact",
        "model": model.id,
        "embeddings": embeddings.id,
        "corpus": embeddings.inputs["corpus"],
        "queries": queries.id,
        "queries_fingerprint": queries.fingerprint,
        "k": options.k,
        "query_max_length": options.query_max_length,
        "exclude_same_id": options.exclude_same_id,
        "dtype": options.dtype,
    }
    # Only where one is given: runs at the full width keep the ids that they always had.
    return inputs if options.width is None else {**inputs, "width": options.width}


def _check_width(writer: RunWriter, loaded: LoadedModel, width: int | None) -> None:
    """Refuse a width that the model lacks, and leave no unfinished run behind."""
    from hypencli.models.encoding import refuse_width

    if width is None:
        return
    try:
        refuse_width(loaded.dual.query_encoder, width)
    except ModelError:
        writer.discard()
        raise


def _run(
    writer: RunWriter,
    loaded: LoadedModel,
    embeddings: EmbeddingSet,
    queries: QuerySet,
    options: SearchOptions,
    progress: Progress,
) -> Manifest:
    """Search all queries, batch by batch, and commit the run."""
    from hypencli.models.encoding import EncodingOptions, encode_queries

    listed = list(queries)
    writer.queries([(query.query_id, query.text) for query in listed])
    device = resolve_device(options.device)
    settings = EncodingOptions(max_length=options.query_max_length, device=device)
    started = time.perf_counter()
    encoded = encode_queries(
        loaded.dual.query_encoder,
        loaded.tokenizer,
        [query.text for query in listed],
        settings,
        width=options.width,
    )
    seconds = SearchSeconds(query_encoding=time.perf_counter() - started)
    n_results = 0
    batch = options.batch_queries or _automatic_batch(encoded)
    total = len(listed) * embeddings.n
    with progress.task("search", total=total, unit="scores") as task:
        for start in range(0, len(listed), batch):
            ids = [query.query_id for query in listed[start : start + batch]]
            started = time.perf_counter()
            scorer = make_scorer(encoded, start, start + batch, embeddings.dim, options.dtype)
            made = time.perf_counter() - started
            found = exact_rankings(
                scorer,
                embeddings,
                ids,
                options,
                on_scored=partial(_advance, task, len(ids)),
            )
            started = time.perf_counter()
            n_results += append_rankings(writer, ids, found.rankings)
            seconds = seconds.plus(
                query_encoding=made,
                scoring=found.scoring_seconds,
                topk=found.topk_seconds,
                writing=time.perf_counter() - started,
            )
    stats: dict[str, hypestore.JsonValue] = {
        "n_queries": len(listed),
        "n_documents": embeddings.n,
        "n_results": n_results,
        "qrels": queries.qrels,
        "seconds": {**asdict(seconds), "total": seconds.total},
    }
    return writer.commit(stats=stats, provenance=provenance(device=str(device)))


def _advance(task: Task, n_queries: int, n_documents: int) -> None:
    task.advance(n_queries * n_documents)


def _automatic_batch(encoded: EncodedQueries) -> int:
    """As many queries as 1 GiB of q-nets holds, 256 at most; all of them for query vectors."""
    if not encoded.has_q_nets:
        return max(1, len(encoded))
    return max(1, min(256, Q_NET_BYTES // max(1, encoded.q_net_bytes)))


def make_scorer(encoded: EncodedQueries, start: int, stop: int, dim: int, dtype: str) -> Scorer:
    """The scorer of the queries from ``start`` to ``stop``: q-nets, or inner products."""
    from hypencli.engine.scorers import InnerProductScorer, QNetScorer

    arithmetic = resolve_dtype(dtype)
    if encoded.has_q_nets:
        nets = [_in_dtype(net, arithmetic) for net in encoded.q_nets(start, stop)]
        return QNetScorer(nets, dim)
    return InnerProductScorer(encoded.vectors(start, stop).to(arithmetic))


def _in_dtype(net: QNetBatch, dtype: torch.dtype) -> QNetBatch:
    return net if net.dtype == dtype else net.to(dtype=dtype)


def embedding_blocks(embeddings: EmbeddingSet) -> Iterator[Block]:
    """The vectors of a set in corpus order, as the engine takes them."""
    for shard in embeddings.shards:
        yield from shard.blocks()


def exact_rankings(
    scorer: Scorer,
    embeddings: EmbeddingSet,
    query_ids: list[str],
    options: SearchOptions,
    on_scored: Callable[[int], None] | None = None,
) -> ExactSearch:
    """Exact search of one batch of queries over an embedding set."""
    from hypencli.engine.exact import search_exact

    found = search_exact(
        scorer,
        embedding_blocks(embeddings),
        k=options.k + options.exclude_same_id,
        doc_ids=embeddings.ids,
        device=resolve_device(options.device),
        dtype=resolve_dtype(options.dtype),
        on_scored=on_scored,
    )
    if not options.exclude_same_id:
        return found
    rankings = [
        [(doc_id, score) for doc_id, score in ranking if doc_id != query_id][: options.k]
        for query_id, ranking in zip(query_ids, found.rankings, strict=True)
    ]
    return replace(found, rankings=rankings)


def append_rankings(writer: RunWriter, query_ids: list[str], rankings: list[Ranking]) -> int:
    """Write rankings to a run, ranks from 1; gives the number of rows."""
    queries = [
        query_id for query_id, ranking in zip(query_ids, rankings, strict=True) for _ in ranking
    ]
    writer.append(
        queries,
        [doc_id for ranking in rankings for doc_id, _ in ranking],
        [rank for ranking in rankings for rank in range(1, len(ranking) + 1)],
        [score for ranking in rankings for _, score in ranking],
    )
    return len(queries)


def _evaluate(
    store: Store,
    run: Manifest,
    queries: QuerySet,
    options: SearchOptions,
    progress: Progress,
) -> Evaluated | None:
    """Evaluate where judgements are known: those named, else the query set's own."""
    if options.qrels is None and queries.qrels is None:
        return None
    chosen = EvaluateOptions(qrels=options.qrels or queries.qrels, measures=options.measures)
    return evaluate(store, run.id, chosen, progress)


def _outcome(
    run: Manifest, model: Manifest, *, existing: bool, evaluation: Evaluated | None
) -> Searched:
    parts = run.stats["seconds"]
    times = parts if isinstance(parts, dict) else {}
    return Searched(
        run=run.id,
        name=run.name,
        model=label(model),
        embeddings=str(run.inputs["embeddings"]),
        corpus=str(run.inputs["corpus"]),
        queries=str(run.inputs["queries"]),
        engine=str(run.inputs["engine"]),
        k=int(str(run.inputs["k"])),
        width=int(str(run.inputs["width"])) if "width" in run.inputs else None,
        n_queries=int(str(run.stats["n_queries"])),
        n_documents=int(str(run.stats["n_documents"])),
        n_results=int(str(run.stats["n_results"])),
        seconds=SearchSeconds(
            **{field.name: float(str(times[field.name])) for field in fields(SearchSeconds)}
        ),
        existing=existing,
        evaluation=evaluation,
    )
