"""What the store has: models, embedding sets, documents, runs, measures."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from hypencli.ops.documents import read_document
from hypencli.ops.evaluation.compare import compare
from hypencli.ops.evaluation.leaderboard import leaderboards
from hypencli.ops.project import Listed, Shown, listing, show
from hypencli.ops.search.target import has_q_nets
from hypencli.private_paths import PathShortener
from hypencli.reporting.contents import Leaderboard
from hypencli.serve.asking import artifact_name, corpus_of
from hypencli.serve.schemas import (
    ArtifactName,
    ComparisonReply,
    DocumentReply,
    EmbeddingSetListReply,
    EmbeddingSetReply,
    LeaderboardReply,
    LineageEntry,
    MeasuredRun,
    MeasuresReply,
    ModelListReply,
    ModelReply,
    RunDetailReply,
    RunListReply,
    RunReply,
)
from hypencli.serve.state import ServerState
from hypestore import ArtifactNotFound, Manifest, Store


def catalog_routes(state: ServerState) -> APIRouter:
    """Return the routes that list and show artifacts."""
    router = APIRouter(prefix="/v1", tags=["store"])
    store = state.store

    @router.get("/models")
    def list_models() -> ModelListReply:
        """List the models."""
        return ModelListReply(data=[_model(store, one) for one in listing(store, "model")])

    @router.get("/embeddings")
    def list_embeddings() -> EmbeddingSetListReply:
        """List the embedding sets."""
        sets = [_embedding_set(store, one) for one in listing(store, "embeddings")]
        return EmbeddingSetListReply(embeddings=sets)

    @router.get("/documents/{document_id:path}")
    def get_document(
        document_id: Annotated[str, Path(max_length=10_000)],
        embeddings: str | None = None,
        model: str | None = None,
    ) -> DocumentReply:
        """Read one document of an embedding set."""
        document = read_document(
            store,
            document_id,
            embeddings=embeddings or state.settings.embeddings,
            model=model or state.settings.model,
        )
        return DocumentReply(
            id=document.doc_id,
            text=document.text,
            embeddings=artifact_name(document.embeddings),
            corpus=corpus_of(document.embeddings),
        )

    @router.get("/runs")
    def list_runs() -> RunListReply:
        """List the runs."""
        return RunListReply(runs=[run_reply(store, one) for one in listing(store, "run")])

    @router.get("/runs/{run}")
    def get_run(run: str) -> RunDetailReply:
        """Show one run with its measures and lineage."""
        manifest = store.get(run, kind="run")
        shown = show(store, manifest.id)
        if not isinstance(shown, Shown):
            raise ArtifactNotFound(f"The run {run} was removed.")
        return _run_detail(store, shown)

    @router.get("/measures")
    def list_measures(measures: Annotated[list[str], Query()] = []) -> MeasuresReply:  # noqa: B006
        """Return the leaderboards: runs by judgements, best first by the first measure."""
        boards = leaderboards(store, measures=tuple(measures))
        return MeasuresReply(leaderboards=[_leaderboard(board) for board in boards])

    @router.get("/compare")
    def compare_runs(
        a: str,
        b: str,
        measures: Annotated[list[str], Query()] = [],  # noqa: B006
        qrels: str | None = None,
    ) -> ComparisonReply:
        """Compare two runs by paired tests."""
        compared = compare(store, a, b, measures=tuple(measures), qrels=qrels)
        short = replace(compared, qrels=PathShortener().text(compared.qrels))
        return ComparisonReply.model_validate(short)

    return router


def _leaderboard(board: Leaderboard) -> LeaderboardReply:
    short = PathShortener()
    return LeaderboardReply(
        corpus=short.text(board.corpus),
        qrels=short.text(board.qrels),
        measures=list(board.measures),
        runs=[
            MeasuredRun(
                run=entry.run,
                name=entry.label,
                model=entry.model,
                engine=entry.engine,
                values=dict(entry.values),
                seconds=entry.seconds,
            )
            for entry in board.entries
        ],
    )


def _manifest(store: Store, listed: Listed) -> Manifest | None:
    """The manifest of a listed artifact; None if it is unfinished, or was removed meanwhile."""
    if listed.unfinished:
        return None
    try:
        return store.get(listed.id)
    except ArtifactNotFound:
        return None


def _model(store: Store, listed: Listed) -> ModelReply:
    manifest = _manifest(store, listed)
    dim = None if manifest is None else manifest.stats.get("dim")
    return ModelReply(
        id=listed.id,
        name=listed.name,
        created=int(datetime.fromisoformat(listed.created).timestamp()),
        created_at=listed.created,
        about=PathShortener().text(listed.about),
        size_bytes=listed.size_bytes,
        has_q_nets=manifest is not None and has_q_nets(manifest),
        dim=dim if isinstance(dim, int) else None,
        unfinished=listed.unfinished,
    )


def _embedding_set(store: Store, listed: Listed) -> EmbeddingSetReply:
    manifest = _manifest(store, listed)
    inputs: dict[str, Any] = {} if manifest is None else dict(manifest.inputs)
    models = [
        ArtifactName(id=one.id, name=one.name)
        for one in store.artifacts("model")
        if manifest is not None
        and one.stats.get("passage_fingerprint") == inputs.get("passage_fingerprint")
    ]
    return EmbeddingSetReply(
        id=listed.id,
        name=listed.name,
        created=listed.created,
        about=PathShortener().text(listed.about),
        corpus=None if manifest is None else corpus_of(manifest),
        n_documents=None if manifest is None else manifest.stat_int("n_documents"),
        dim=None if manifest is None else manifest.input_int("dim"),
        keeps_text=bool(inputs.get("keep_text")),
        models=models,
        size_bytes=listed.size_bytes,
        unfinished=listed.unfinished,
    )


def run_reply(store: Store, listed: Listed) -> RunReply:
    """Return a run of a listing."""
    return RunReply(**_run(store, listed))


def _run(store: Store, listed: Listed) -> dict[str, Any]:
    """The fields of a run."""
    manifest = _manifest(store, listed)
    inputs: dict[str, Any] = {} if manifest is None else dict(manifest.inputs)
    stats: dict[str, Any] = {} if manifest is None else dict(manifest.stats)
    seconds, evaluations = stats.get("seconds") or {}, stats.get("evaluations") or {}
    short = PathShortener()
    return {
        "id": listed.id,
        "name": listed.name,
        "created": listed.created,
        "about": short.text(listed.about),
        **{name: short.value(inputs.get(name)) for name in ("model", "embeddings", "corpus")},
        **{name: short.value(inputs.get(name)) for name in ("queries", "engine", "k")},
        "n_queries": stats.get("n_queries"),
        "seconds": seconds.get("total"),
        "evaluations": evaluations.get("mean"),
        "size_bytes": listed.size_bytes,
        "unfinished": listed.unfinished,
    }


def _run_detail(store: Store, shown: Shown) -> RunDetailReply:
    manifest, short = shown.manifest, PathShortener()
    listed = next(one for one in listing(store, "run") if one.id == manifest.id)
    return RunDetailReply(
        **_run(store, listed),
        measures={short.text(qrels): dict(values) for qrels, values in shown.metrics.items()},
        parents=[_lineage(one) for one in shown.parents],
        children=[_lineage(one) for one in shown.children],
        inputs=short.value(dict(manifest.inputs)),
        stats=short.value(dict(manifest.stats)),
    )


def _lineage(listed: Listed) -> LineageEntry:
    about = PathShortener().text(listed.about)
    return LineageEntry(kind=listed.kind, id=listed.id, name=listed.name, about=about)
