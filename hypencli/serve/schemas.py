"""The JSON of requests and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Reply(BaseModel):
    """The base class of answers."""

    model_config = ConfigDict(frozen=True)


class RequestBody(BaseModel):
    """The base class of bodies. Fields that do not exist are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HealthReply(Reply):
    """The server runs."""

    status: Literal["ok"] = "ok"
    version: str


class ReadyReply(Reply):
    """Whether questions are answered."""

    ready: bool
    waiting: int = Field(description="Questions that wait.")


class ErrorReply(Reply):
    """An error, as ``hype --json`` writes it, with the name of its class."""

    type: str
    message: str
    hint: str | None = None
    exit_code: int = Field(description="Exit code of the command for the same error.")


class ErrorBody(Reply):
    """The body of every answer that is an error."""

    error: ErrorReply


class ArtifactName(Reply):
    """An artifact: its id, and its name if it has one."""

    id: str
    name: str | None = None


class HitReply(Reply):
    """A ranked document."""

    rank: int
    doc_id: str
    score: float = Field(description="The score that `hype query` gives, bit for bit.")
    text: str | None = Field(None, description="None if the embedding set keeps no texts.")


class SecondsReply(Reply):
    """Time of the stages of an answer, in seconds; those of a batch are shared by its questions."""

    waiting: float = Field(
        description="From the arrival of the question to the start of its batch."
    )
    query_encoding: float
    selection: float
    scoring: float
    topk: float
    texts: float = Field(description="Reading the texts of the documents.")
    total: float


class SearchReply(Reply):
    """The answer to one question."""

    query: str
    model: ArtifactName
    embeddings: ArtifactName
    corpus: str | None
    engine: str
    k: int
    n_documents: int = Field(description="Documents of the embedding set.")
    query_max_length: int
    is_cut: bool = Field(description="Whether the question was longer, and was cut.")
    evaluations: int = Field(description="Documents that were scored.")
    recall_bound: float | None = Field(
        None, description="Lower bound on the recall, if the engine was asked for a recall."
    )
    batch: int = Field(description="Questions that shared the pass over the corpus.")
    seconds: SecondsReply
    hits: list[HitReply]


class SearchListReply(Reply):
    """The answers to several questions, in their order."""

    answers: list[SearchReply]


class SearchFields(RequestBody):
    """How to answer a question. A field that is absent takes the setting of the server."""

    k: Annotated[int | None, Field(ge=1)] = None
    model: str | None = None
    embeddings: str | None = None
    engine: str | None = None
    budget: Annotated[
        int | None, Field(ge=1, description="Most q-net evaluations; short for the engine option.")
    ] = None
    recall: Annotated[float | None, Field(gt=0, le=1, description="The recall to reach.")] = None
    options: dict[str, str | int | float | bool] | None = Field(
        None, description="Options of the engine, by name."
    )
    query_max_length: Annotated[int | None, Field(ge=2)] = None
    width: Annotated[
        int | None, Field(ge=1, description="Hidden width of the q-nets, if the model has several.")
    ] = None
    with_texts: bool | None = Field(None, description="Whether hits carry texts; they do.")


class QuestionBody(SearchFields):
    """One question of several, with options of its own."""

    query: str


class SearchBody(SearchFields):
    """Several questions, with options for all of them."""

    queries: Annotated[list[str | QuestionBody], Field(min_length=1)]


class ClientBody(BaseModel):
    """The base class of bodies that clients of other services send: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class EmbeddingsBody(ClientBody):
    """Passages to encode, as clients of OpenAI's API send them."""

    input: str | Annotated[list[str], Field(min_length=1)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64 holds float32 values, little-endian."
    )


class EmbeddingReply(Reply):
    """The vector of one passage."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class UsageReply(Reply):
    """Tokens of the passages, after long ones were cut."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(Reply):
    """The vectors of passages, in their order."""

    object: Literal["list"] = "list"
    data: list[EmbeddingReply]
    model: str
    usage: UsageReply


class TextDocument(ClientBody):
    """A document to rerank, as an object."""

    text: str


class RerankBody(ClientBody):
    """Documents to rank for a query, as clients of Cohere and Jina send them."""

    query: str
    documents: Annotated[list[str | TextDocument], Field(min_length=1)]
    model: str | None = None
    top_n: Annotated[int | None, Field(ge=1)] = None
    return_documents: bool = True


class RerankedReply(Reply):
    """A document of the request."""

    index: int = Field(description="Its position in the request, from 0.")
    relevance_score: float
    document: TextDocument | None = None


class RerankReply(Reply):
    """The documents of the request, best first."""

    model: str
    results: list[RerankedReply]


class SqlBody(RequestBody):
    """A read-only query of the catalog."""

    sql: Annotated[str, Field(min_length=1)]


class SqlReply(Reply):
    """The result of a query."""

    columns: list[str]
    rows: list[list[Any]]


class DocumentReply(Reply):
    """One document."""

    id: str
    text: str
    embeddings: ArtifactName
    corpus: str | None


class ModelReply(Reply):
    """A model of the store. ``object`` is for clients of OpenAI's API."""

    id: str
    name: str | None
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since 1970.")
    created_at: str = Field(description="The same as ISO time.")
    about: str
    size_bytes: int
    has_q_nets: bool
    dim: int | None
    unfinished: bool = False


class ModelListReply(Reply):
    """The models of the store, oldest first, then those in training."""

    object: Literal["list"] = "list"
    data: list[ModelReply]


class EmbeddingSetReply(Reply):
    """An embedding set of the store."""

    id: str
    name: str | None
    created: str
    about: str
    corpus: str | None
    n_documents: int | None
    dim: int | None
    keeps_text: bool
    models: list[ArtifactName] = Field(description="Models whose questions it answers.")
    size_bytes: int
    unfinished: bool = False


class EmbeddingSetListReply(Reply):
    """The embedding sets of the store, oldest first, then unfinished ones."""

    embeddings: list[EmbeddingSetReply]


class RunReply(Reply):
    """A run of the store."""

    id: str
    name: str | None
    created: str
    about: str
    model: str | None
    embeddings: str | None
    corpus: str | None
    queries: str | None
    engine: str | None
    k: int | None
    n_queries: int | None
    seconds: float | None = Field(description="Time of the whole search.")
    evaluations: float | None = Field(description="Mean number of q-net evaluations of a query.")
    size_bytes: int
    unfinished: bool = False


class RunListReply(Reply):
    """The runs of the store, oldest first, then unfinished ones."""

    runs: list[RunReply]


class LineageEntry(Reply):
    """A parent or child of a run."""

    kind: str
    id: str
    name: str | None
    about: str


class RunDetailReply(RunReply):
    """One run with its measures and lineage."""

    measures: dict[str, dict[str, float]] = Field(description="Judgements -> measure -> value.")
    parents: list[LineageEntry]
    children: list[LineageEntry]
    inputs: dict[str, Any]
    stats: dict[str, Any]


class PairedTestReply(Reply):
    """A measure of two runs: means, difference (B minus A), p-values."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    measure: str
    n_queries: int
    mean_a: float
    mean_b: float
    difference: float
    wins: int
    losses: int
    ties: int
    p_values: dict[str, float]
    corrected: dict[str, float]


class ComparisonReply(Reply):
    """Paired tests of two runs on the same judgements."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    run_a: str
    run_b: str
    qrels: str
    n_queries: int
    tests: list[PairedTestReply]


class MeasuredRun(Reply):
    """A row of a leaderboard."""

    run: str
    name: str
    model: str | None
    engine: str | None
    values: dict[str, float]
    seconds: float | None


class LeaderboardReply(Reply):
    """Runs that were evaluated with the same judgements, best first."""

    corpus: str
    qrels: str
    measures: list[str]
    runs: list[MeasuredRun]


class MeasuresReply(Reply):
    """All leaderboards of the store."""

    leaderboards: list[LeaderboardReply]
