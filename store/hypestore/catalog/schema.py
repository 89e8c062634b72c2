"""Tables and views of the catalog, with descriptions for users who write SQL."""

from __future__ import annotations

from dataclasses import dataclass

CATALOG_VERSION = 6
"""Version of the tables and views. Raise it with every change of them below.

A catalog of another version is dropped and built again.
"""


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """One column of a table or view: name, DuckDB type, description."""

    name: str
    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or a view; ``sql`` is the query of a view, and None for a table."""

    name: str
    description: str
    columns: tuple[CatalogColumn, ...]
    sql: str | None = None

    def definition(self) -> str:
        """The SQL statement that creates the table or view."""
        if self.sql is not None:
            return f"CREATE VIEW {self.name} AS {self.sql}"
        columns = ", ".join(f"{column.name} {column.type}" for column in self.columns)
        return f"CREATE TABLE {self.name} ({columns})"


def _columns(*columns: tuple[str, str, str]) -> tuple[CatalogColumn, ...]:
    return tuple(CatalogColumn(*column) for column in columns)


SECONDS = ("query_encoding", "selection", "scoring", "topk", "writing", "total")

_SECONDS_COLUMNS = (
    ("seconds_query_encoding", "DOUBLE", "time of encoding the queries"),
    ("seconds_selection", "DOUBLE", "time of choosing what to score; NULL where all is scored"),
    ("seconds_scoring", "DOUBLE", "time of scoring documents"),
    ("seconds_topk", "DOUBLE", "time of keeping the best k"),
    ("seconds_writing", "DOUBLE", "time of writing the run"),
    ("seconds_total", "DOUBLE", "time of the whole search"),
)

_ABOUT = (
    ("id", "VARCHAR", "id of the artifact"),
    ("name", "VARCHAR", "what the user called it, or NULL"),
    ("created", "TIMESTAMP", "when it was finished, UTC"),
)

_CORPUS = (
    ("corpus", "VARCHAR", "id of the corpus"),
    ("corpus_fingerprint", "VARCHAR", "hash of the corpus, or NULL where none is recorded"),
)
_QUERIES = (
    ("queries", "VARCHAR", "id of the query set"),
    ("queries_fingerprint", "VARCHAR", "hash of the queries, or NULL where none is recorded"),
)
_QRELS = (
    ("qrels", "VARCHAR", "id of the judgements"),
    ("qrels_fingerprint", "VARCHAR", "hash of the judgements, or NULL where none is recorded"),
)

ARTIFACTS = Relation(
    "artifacts",
    "One row for each artifact of the store.",
    _columns(
        *_ABOUT,
        ("kind", "VARCHAR", "model, embeddings, graph, run or evaluation"),
        ("format_version", "INTEGER", "format version of its manifest"),
        ("n_files", "INTEGER", "how many files it has"),
        ("size_bytes", "BIGINT", "size of all its files together"),
        ("inputs", "JSON", "what determines it; inputs->>'$.corpus' gives one value"),
        ("stats", "JSON", "what came out: counts, sizes, times"),
        ("provenance", "JSON", "versions, seed, hardware it was made with"),
    ),
)
PARENTS = Relation(
    "parents",
    "What was made from what.",
    _columns(
        ("child", "VARCHAR", "id of an artifact"),
        ("parent", "VARCHAR", "id of an artifact it was made from"),
        ("position", "INTEGER", "place in the child's list of parents, from 0"),
    ),
)
RUNS = Relation(
    "runs",
    "One row for each run, also those that nobody evaluated.",
    _columns(
        ("run", "VARCHAR", "id of the run"),
        *_ABOUT[1:],
        ("engine", "VARCHAR", "exact, imported, rrf, …"),
        ("model", "VARCHAR", "id of the model"),
        ("embeddings", "VARCHAR", "id of the embedding set that was searched"),
        *_CORPUS,
        *_QUERIES,
        ("k", "BIGINT", "results asked for, per query"),
        ("query_max_length", "BIGINT", "tokens a query was cut to"),
        ("dtype", "VARCHAR", "arithmetic of the scores"),
        ("device", "VARCHAR", "cpu, cuda, …"),
        ("n_queries", "BIGINT", "queries of the run"),
        ("n_results", "BIGINT", "results of all queries together"),
        *_SECONDS_COLUMNS,
    ),
)
RUN_QUERIES = Relation(
    "run_queries",
    "The queries of each run.",
    _columns(
        ("run", "VARCHAR", "id of the run"),
        ("query_id", "VARCHAR", "id of the query"),
        ("text", "VARCHAR", "its text; empty where it is not known, as in an imported run"),
    ),
)
METRICS = Relation(
    "metrics",
    "Aggregates of each evaluation.",
    _columns(
        ("evaluation", "VARCHAR", "id of the evaluation"),
        ("run", "VARCHAR", "id of the run"),
        *_QRELS,
        ("measure", "VARCHAR", "name as ir_measures writes it, nDCG@10"),
        ("value", "DOUBLE", "mean over the judged queries; one without results counts as 0"),
    ),
)
PER_QUERY_METRICS = Relation(
    "per_query_metrics",
    "Values of each evaluation, query by query.",
    _columns(
        *((column.name, column.type, column.description) for column in METRICS.columns[:4]),
        ("query_id", "VARCHAR", "id of the query"),
        ("measure", "VARCHAR", "name as ir_measures writes it"),
        ("value", "DOUBLE", "value for this query"),
    ),
)
PER_QUERY_COSTS = Relation(
    "per_query_costs",
    "What each query of a search with q-nets took.",
    _columns(
        ("run", "VARCHAR", "id of the run"),
        ("query_id", "VARCHAR", "id of the query"),
        ("evaluations", "BIGINT", "documents that the q-net scored"),
        ("iterations", "BIGINT", "steps of the search"),
        ("recall_bound", "DOUBLE", "lower bound on the recall; NULL where none was asked for"),
    ),
)
TRAINING_CURVES = Relation(
    "training_curves",
    "What was logged in training, also by trainings that run.",
    _columns(
        ("model", "VARCHAR", "id of the model; of one in training: unfinished.id"),
        ("step", "BIGINT", "optimiser step"),
        ("name", "VARCHAR", "loss, learning_rate, …"),
        ("value", "DOUBLE", "value at this step"),
    ),
)
ELSEWHERE = Relation(
    "elsewhere",
    "Artifacts that are in another store and known by their manifests, such as models of imports.",
    _columns(
        *_ABOUT,
        ("kind", "VARCHAR", "model, embeddings, …"),
        ("inputs", "JSON", "what determines it"),
        ("stats", "JSON", "what came out: counts, sizes, times"),
        ("provenance", "JSON", "versions, seed, hardware it was made with"),
    ),
)
UNFINISHED = Relation(
    "unfinished",
    "What is being made, or was begun and not finished; its points are in training_curves.",
    _columns(
        ("id", "VARCHAR", "id that the artifact will have"),
        ("name", "VARCHAR", "what the user called it, or NULL"),
        ("kind", "VARCHAR", "model, embeddings, run, …"),
        ("started", "TIMESTAMP", "when it was begun, UTC"),
        ("updated", "TIMESTAMP", "when it last logged a point, UTC; NULL before the first"),
        ("last_step", "BIGINT", "step of that point"),
        ("progress_bytes", "BIGINT", "size of its progress.jsonl; NULL where there is none"),
    ),
)
_NEWEST = """QUALIFY rank() OVER (
            PARTITION BY m.run, coalesce(m.qrels_fingerprint, m.qrels), m.measure
            ORDER BY TRY_CAST(e.provenance->>'$.order' AS BIGINT) DESC NULLS LAST,
                e.created DESC, e.id DESC
        ) = 1"""
"""SQL that keeps the values of the newest evaluation with the same judgements, by measure."""

LEADERBOARD = Relation(
    "leaderboard",
    "One row for each run, judgements and measure; the newest evaluation where there are several.",
    _columns(
        ("run", "VARCHAR", "id of the run"),
        ("name", "VARCHAR", "name of the run, or NULL"),
        ("engine", "VARCHAR", "exact, imported, rrf, …"),
        ("model", "VARCHAR", "name of the model, or its id where it has none"),
        ("model_id", "VARCHAR", "id of the model"),
        ("embeddings", "VARCHAR", "id of the embedding set"),
        *_CORPUS,
        *_QUERIES,
        *_QRELS,
        ("measure", "VARCHAR", "name as ir_measures writes it"),
        ("value", "DOUBLE", "mean over the judged queries"),
        ("n_queries", "BIGINT", "queries of the run"),
        ("k", "BIGINT", "results asked for, per query"),
        ("created", "TIMESTAMP", "when the run was finished, UTC"),
        *_SECONDS_COLUMNS,
        ("evaluation", "VARCHAR", "id of the evaluation"),
    ),
    sql=f"""
        SELECT r.run, r.name, r.engine, coalesce(model.name, distant.name, r.model) AS model,
            r.model AS model_id, r.embeddings, r.corpus, r.corpus_fingerprint, r.queries,
            r.queries_fingerprint, m.qrels, m.qrels_fingerprint, m.measure, m.value,
            r.n_queries, r.k, r.created, r.seconds_query_encoding, r.seconds_selection,
            r.seconds_scoring, r.seconds_topk, r.seconds_writing, r.seconds_total, m.evaluation
        FROM metrics AS m
        JOIN runs AS r ON r.run = m.run
        JOIN artifacts AS e ON e.id = m.evaluation
        LEFT JOIN artifacts AS model ON model.id = r.model
        LEFT JOIN elsewhere AS distant ON distant.id = r.model
        {_NEWEST}
    """,
)
PER_QUERY = Relation(
    "per_query",
    "One row for each run, judgements, measure and query, of the newest evaluation.",
    _columns(
        ("run", "VARCHAR", "id of the run"),
        ("name", "VARCHAR", "name of the run, or NULL"),
        *_QRELS,
        ("query_id", "VARCHAR", "id of the query"),
        ("measure", "VARCHAR", "name as ir_measures writes it"),
        ("value", "DOUBLE", "value for this query"),
        ("evaluation", "VARCHAR", "id of the evaluation"),
    ),
    sql=f"""
        SELECT m.run, r.name, m.qrels, m.qrels_fingerprint, m.query_id, m.measure, m.value,
            m.evaluation
        FROM per_query_metrics AS m
        JOIN artifacts AS r ON r.id = m.run
        JOIN artifacts AS e ON e.id = m.evaluation
        {_NEWEST}
    """,
)
QUERIES = Relation(
    "queries",
    "One row for each query of each query set that the store has a run of.",
    _columns(
        *_QUERIES,
        ("query_id", "VARCHAR", "id of the query"),
        ("text", "VARCHAR", "its text, or NULL where no run of the set has it"),
        ("characters", "BIGINT", "length of the text in characters"),
        ("words", "BIGINT", "length of the text in words, as white space divides them"),
    ),
    sql="""
        SELECT r.queries, r.queries_fingerprint, q.query_id,
            nullif(max(q.text), '') AS text, length(nullif(max(q.text), '')) AS characters,
            len(regexp_extract_all(nullif(max(q.text), ''), '\\S+')) AS words
        FROM run_queries AS q
        JOIN runs AS r ON r.run = q.run
        GROUP BY r.queries, r.queries_fingerprint, q.query_id
    """,
)
_ALL_EVALUATED = """
                CASE WHEN r.engine = 'exact' AND lower(coalesce(
                    model.inputs->>'$.architecture', model.stats->>'$.architecture'
                )) LIKE 'hypencoder%' THEN n_documents END"""
"""SQL for the evaluations of an exact search: all documents for a model with q-nets, else NULL."""


def _recall(depth: int) -> str:
    """SQL for recall at a depth: 1 for an exact search of that depth, else the measured value."""
    return f"""
            CASE WHEN r.engine = 'exact' AND r.k >= least({depth}, n_documents) THEN 1::DOUBLE
                ELSE TRY_CAST(a.stats->>'$.check.recall."{depth}"' AS DOUBLE)
            END AS recall_{depth}"""


EFFICIENCY = Relation(
    "efficiency",
    "One row for each run whose time or evaluations are known: what its search took and found.",
    _columns(
        ("run", "VARCHAR", "id of the run"),
        *_ABOUT[1:],
        ("engine", "VARCHAR", "exact, …"),
        ("model", "VARCHAR", "name of the model, or its id where it has none"),
        ("model_id", "VARCHAR", "id of the model"),
        ("embeddings", "VARCHAR", "id of the embedding set"),
        *_CORPUS,
        *_QUERIES,
        ("k", "BIGINT", "results asked for, per query"),
        ("n_queries", "BIGINT", "queries of the run"),
        ("n_documents", "BIGINT", "documents of the embedding set"),
        ("ms_per_query", "DOUBLE", "milliseconds of selection, scoring and top k, per query"),
        ("ms_query_encoding", "DOUBLE", "milliseconds of encoding a query, not in ms_per_query"),
        ("evaluations_mean", "DOUBLE", "documents a q-net scored, per query; all when exact"),
        ("evaluations_min", "BIGINT", "of the query with the fewest"),
        ("evaluations_max", "BIGINT", "of the query with the most"),
        ("evaluations_share", "DOUBLE", "evaluations_mean as a share of the documents, 0 to 1"),
        ("iterations_mean", "DOUBLE", "rounds of the search, per query"),
        ("iterations_max", "BIGINT", "of the query with the most"),
        ("recall_bound_min", "DOUBLE", "lower bound on the recall of the query with the lowest"),
        ("recall_10", "DOUBLE", "share of the exact top 10 that was found; 1 when exact"),
        ("recall_100", "DOUBLE", "share of the exact top 100"),
        ("recall_1000", "DOUBLE", "share of the exact top 1000"),
        ("checked_queries", "BIGINT", "queries that recall was measured on with the run"),
        ("checked_against", "VARCHAR", "id of the exact run it was measured against, if any"),
    ),
    sql=f"""
        SELECT r.run, r.name, r.created, r.engine,
            coalesce(model.name, distant.name, r.model) AS model, r.model AS model_id,
            r.embeddings, r.corpus, r.corpus_fingerprint, r.queries, r.queries_fingerprint, r.k,
            r.n_queries,
            coalesce(
                TRY_CAST(a.stats->>'$.n_documents' AS BIGINT),
                TRY_CAST(embeddings.stats->>'$.n_documents' AS BIGINT)
            ) AS n_documents,
            1000 * (
                r.seconds_scoring + coalesce(r.seconds_selection, 0) + coalesce(r.seconds_topk, 0)
            ) / nullif(r.n_queries, 0) AS ms_per_query,
            1000 * r.seconds_query_encoding / nullif(r.n_queries, 0) AS ms_query_encoding,
            coalesce(
                TRY_CAST(a.stats->>'$.evaluations.mean' AS DOUBLE), {_ALL_EVALUATED}
            ) AS evaluations_mean,
            coalesce(
                TRY_CAST(a.stats->>'$.evaluations.min' AS BIGINT), {_ALL_EVALUATED}
            ) AS evaluations_min,
            coalesce(
                TRY_CAST(a.stats->>'$.evaluations.max' AS BIGINT), {_ALL_EVALUATED}
            ) AS evaluations_max,
            evaluations_mean / nullif(n_documents, 0) AS evaluations_share,
            TRY_CAST(a.stats->>'$.iterations.mean' AS DOUBLE) AS iterations_mean,
            TRY_CAST(a.stats->>'$.iterations.max' AS BIGINT) AS iterations_max,
            TRY_CAST(a.stats->>'$.recall_bound.min' AS DOUBLE) AS recall_bound_min,
            {_recall(10)}, {_recall(100)}, {_recall(1000)},
            TRY_CAST(a.stats->>'$.check.n_queries' AS BIGINT) AS checked_queries,
            a.stats->>'$.check.against' AS checked_against
        FROM runs AS r
        JOIN artifacts AS a ON a.id = r.run
        LEFT JOIN artifacts AS model ON model.id = r.model
        LEFT JOIN elsewhere AS distant ON distant.id = r.model
        LEFT JOIN artifacts AS embeddings ON embeddings.id = r.embeddings
        WHERE ms_per_query IS NOT NULL OR evaluations_mean IS NOT NULL
    """,
)
MODELS = Relation(
    "models",
    "One row for each model.",
    _columns(
        *_ABOUT,
        ("architecture", "VARCHAR", "hypencoder, bi-encoder, …"),
        ("recipe", "VARCHAR", "recipe it was trained with"),
        ("source", "VARCHAR", "where it came from, when it was not trained here"),
        ("model_fingerprint", "VARCHAR", "hash of all its weights"),
        ("passage_fingerprint", "VARCHAR", "hash of the passage encoder, as in embedding_sets"),
        ("size_bytes", "BIGINT", "size of its files; 0 when registered by reference"),
    ),
    sql="""
        SELECT id, name, created,
            coalesce(inputs->>'$.architecture', stats->>'$.architecture') AS architecture,
            inputs->>'$.recipe' AS recipe, inputs->>'$.source' AS source,
            stats->>'$.model_fingerprint' AS model_fingerprint,
            stats->>'$.passage_fingerprint' AS passage_fingerprint, size_bytes
        FROM artifacts WHERE kind = 'model'
    """,
)
EMBEDDING_SETS = Relation(
    "embedding_sets",
    "One row for each embedding set.",
    _columns(
        *_ABOUT,
        ("corpus", "VARCHAR", "id of the corpus"),
        (
            "passage_fingerprint",
            "VARCHAR",
            "of the passage encoder; models that share it share sets",
        ),
        ("n_documents", "BIGINT", "documents"),
        ("dim", "BIGINT", "width of the vectors"),
        ("storage_dtype", "VARCHAR", "float16 or float32"),
        ("max_length", "BIGINT", "tokens a document was cut to"),
        ("size_bytes", "BIGINT", "size of its files, text included"),
    ),
    sql="""
        SELECT id, name, created, inputs->>'$.corpus' AS corpus,
            inputs->>'$.passage_fingerprint' AS passage_fingerprint,
            TRY_CAST(stats->>'$.n_documents' AS BIGINT) AS n_documents,
            TRY_CAST(inputs->>'$.dim' AS BIGINT) AS dim,
            inputs->>'$.storage_dtype' AS storage_dtype,
            TRY_CAST(inputs->>'$.max_length' AS BIGINT) AS max_length, size_bytes
        FROM artifacts WHERE kind = 'embeddings'
    """,
)
MANIFEST_FILES = Relation(
    "manifest_files",
    "The files that artifacts were read from: while they are the same, none is read again.",
    _columns(
        ("place", "VARCHAR", "here, or elsewhere for what is known of other stores"),
        ("path", "VARCHAR", "below the folder of that place"),
        ("id", "VARCHAR", "id of the artifact"),
        ("stamp", "VARCHAR", "time of the last change in nanoseconds, inode, size"),
    ),
)
META = Relation(
    "catalog_meta",
    "The catalog's own version; one row.",
    _columns(("version", "INTEGER", "version of these tables and views")),
)

TABLES = (
    ARTIFACTS,
    PARENTS,
    RUNS,
    RUN_QUERIES,
    METRICS,
    PER_QUERY_METRICS,
    PER_QUERY_COSTS,
    TRAINING_CURVES,
    UNFINISHED,
    ELSEWHERE,
    MANIFEST_FILES,
    META,
)
VIEWS = (LEADERBOARD, PER_QUERY, QUERIES, EFFICIENCY, MODELS, EMBEDDING_SETS)

OWNER_COLUMNS = {
    "artifacts": "id",
    "parents": "child",
    "runs": "run",
    "run_queries": "run",
    "metrics": "evaluation",
    "per_query_metrics": "evaluation",
    "per_query_costs": "run",
    "training_curves": "model",
}
"""Which column of each table holds the id of the artifact that a row came from."""
