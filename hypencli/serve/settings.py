"""Settings of the server, and the limits of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits that keep one request from taking the machine.

    Attributes:
        body_bytes: Largest body of a request.
        body_seconds: Time in which a body must arrive.
        k: Most documents of an answer.
        queries: Most queries of a request.
        texts: Most passages of a request (embeddings, reranking).
        text_characters: Longest query or passage.
        request_seconds: Time after which a request ends with an error.
        waiting: Most questions that wait; further requests are refused with status 429.
        batch: Most questions that share a pass over the corpus.
        window_seconds: How long an idle server waits for questions to share a pass with.
        sql_rows: Most rows of an SQL result.
        sql_seconds: Longest time of an SQL query.
    """

    body_bytes: int = 4 << 20
    body_seconds: float = 10.0
    k: int = 1_000
    queries: int = 64
    texts: int = 512
    text_characters: int = 100_000
    request_seconds: float = 30.0
    waiting: int = 256
    batch: int = 32
    window_seconds: float = 0.002
    sql_rows: int = 10_000
    sql_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server answers from, and to whom.

    Attributes:
        store: Folder of the store.
        model: Model of questions that name none; None selects the store's default.
        embeddings: Embedding set of questions that name none.
        engine: Engine of questions that name none.
        device: Device of models and scores.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        token: Secret that each request must carry; None asks for none.
        hosts: Names by which clients may reach the server, beside its address.
        origins: Web origins whose pages may ask; the server's own may always.
        qrels: Judgements whose grades the page shows: files or datasets.
        sql: Whether ``POST /v1/sql`` answers.
        log_queries: Whether the log shows questions.
        trust_code: Whether models may run q-net converter code of their own.
        warm: Whether the model of questions that name none is loaded at the start.
        limits: Limits of a request.
    """

    store: Path
    model: str | None = None
    embeddings: str | None = None
    engine: str = "exact"
    device: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    qrels: tuple[str, ...] = ()
    sql: bool = False
    log_queries: bool = False
    trust_code: bool = False
    warm: bool = True
    limits: RequestLimits = field(default_factory=RequestLimits)


def check_settings(settings: Settings) -> None:
    """Refuse settings that no question could be answered with, before anything is loaded.

    Raises:
        ArtifactNotFound: The store has no such model or embedding set.
        UsageError: There is no such engine.
    """
    from hypencli.ops.models import stored_model
    from hypencli.ops.search.engines import parse_spec
    from hypencli.ops.search.options import EngineSpec
    from hypestore import Store

    store = Store.open(settings.store)
    parse_spec(EngineSpec(settings.engine))
    if settings.model is not None:
        stored_model(store, settings.model)
    if settings.embeddings is not None:
        store.get(settings.embeddings, kind="embeddings")
