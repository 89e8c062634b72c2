"""A store behind ``hype serve``, with the methods of :func:`hypencli.open_store` for asking.

Only the standard library is imported: a question costs a connection, not the import of torch.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import hypencli.errors
from hypencli.answers import Answer, Hit
from hypencli.errors import HypeError, UsageError
from hypencli.tabular import Records, Tables

if TYPE_CHECKING:
    from hypencli.ops.evaluation.compare import Comparison
    from hypencli.ops.evaluation.leaderboard import LeaderboardTable
    from hypencli.ops.project import Listed

LARGEST_ANSWER = 256 << 20
"""Bytes of the largest answer that a client reads."""

_T = TypeVar("_T")


class ServerError(HypeError):
    """A server that cannot be reached, or that answers what it should not."""


class Connection:
    """A store behind ``hype serve``.

    Errors of the server are raised as the classes that the library raises for them. An object may
    be used by several threads.

    Args:
        url: Address of the server, such as ``http://127.0.0.1:8080``.
        token: The secret of the server, if it asks for one.
        seconds: Longest wait for a part of an answer.

    Raises:
        UsageError: The address is none of http or https.
    """

    def __init__(self, url: str, *, token: str | None = None, seconds: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._parts = _checked_url(self.url)
        self._seconds = seconds
        self._headers = {"Accept": "application/json"}
        if token is not None:
            if not token.isascii() or not token.isprintable():
                raise UsageError("token must be printable ASCII text.")
            self._headers["Authorization"] = f"Bearer {token}"

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"

    def query(
        self,
        text: str,
        *,
        k: int = 10,
        engine: str | None = None,
        model: str | None = None,
        **options: Any,
    ) -> Answer:
        """Return the ``k`` best documents for a question, with their texts if they are stored.

        Args:
            text: The question.
            k: Number of documents.
            engine: Name of an engine; None selects that of the server.
            model: Name or id of the model; None selects that of the server.
            **options: ``embeddings``, ``recall``, ``width``, ``query_max_length``, and options of
                the engine such as ``budget``.

        Raises:
            UsageError: No embedding set fits the model, or several do; or an option is wrong.
            DataError: The question is empty.
            ServerError: The server cannot be reached, is overloaded, or too slow.
        """
        return self.queries([text], k=k, engine=engine, model=model, **options)[0]

    def queries(
        self,
        texts: Sequence[str],
        *,
        k: int = 10,
        engine: str | None = None,
        model: str | None = None,
        **options: Any,
    ) -> list[Answer]:
        """Answer several questions, which share passes over the corpus; see :meth:`query`."""
        body: dict[str, Any] = {"queries": list(texts), "k": k, "engine": engine, "model": model}
        for name in ("embeddings", "recall", "width", "query_max_length"):
            body[name] = options.pop(name, None)
        body["options"] = options or None
        given = {name: value for name, value in body.items() if value is not None}
        reply = self._post("/v1/search", given)
        return _read(lambda: [_answer(one) for one in reply["answers"]])

    def document(self, doc_id: str, *, embeddings: str | None = None) -> str:
        """Return the text of a document.

        Args:
            doc_id: Its id.
            embeddings: The embedding set; None selects that of the server, else the only one.

        Raises:
            ArtifactNotFound: There is no such document.
        """
        reply = self._get(f"/v1/documents/{quote(doc_id, safe='')}", embeddings=embeddings)
        return _read(lambda: str(reply["text"]))

    def models(self) -> Records[Listed]:
        """List the models, oldest first, then those in training."""
        return self._listing("model", "/v1/models", "data")

    def embeddings(self) -> Records[Listed]:
        """List the embedding sets, oldest first."""
        return self._listing("embeddings", "/v1/embeddings", "embeddings")

    def runs(self) -> Records[Listed]:
        """List the runs, oldest first."""
        return self._listing("run", "/v1/runs", "runs")

    def leaderboard(self, *, measures: Sequence[str] = ()) -> Tables[LeaderboardTable]:
        """Return one table per set of judgements, with one row per run, best first.

        Args:
            measures: Measures to show, of which the first one determines the order; empty shows
                all.
        """
        from hypencli.ops.evaluation.leaderboard import LeaderboardTable

        reply = self._get("/v1/measures", measures=list(measures))
        return _read(
            lambda: Tables(_leaderboard(board, LeaderboardTable) for board in reply["leaderboards"])
        )

    def compare(
        self, a: str, b: str, *, measures: Sequence[str] = (), qrels: str | None = None
    ) -> Comparison:
        """Compare two runs by paired tests, one row per measure.

        Args:
            a: The first run.
            b: The second run. Differences are ``b`` minus ``a``.
            measures: Measures to compare; empty selects all that both runs have.
            qrels: Id of the judgements, if both runs were evaluated with several.

        Raises:
            UsageError: The runs were not evaluated with the same judgements.
        """
        from hypencli.ops.evaluation.compare import Comparison
        from hypencli.records import PairedTest

        reply = self._get("/v1/compare", a=a, b=b, measures=list(measures), qrels=qrels)
        return _read(
            lambda: Comparison(
                **{**reply, "tests": tuple(PairedTest(**test) for test in reply["tests"])}
            )
        )

    def sql(self, statement: str) -> LeaderboardTable:
        """Return the result of a read-only query of the catalog, if the server answers SQL.

        Raises:
            CatalogQueryError: The query is not valid, or has a too large result.
            ServerError: The server was started without ``--sql``.
        """
        from hypencli.ops.evaluation.leaderboard import LeaderboardTable

        reply = self._post("/v1/sql", {"sql": statement})
        return _read(
            lambda: LeaderboardTable("", tuple(reply["columns"]), tuple(map(tuple, reply["rows"])))
        )

    def _listing(self, kind: str, path: str, key: str) -> Records[Listed]:
        from hypencli.ops.project import Listed

        reply = self._get(path)
        return _read(
            lambda: Records(
                Listed(
                    kind=kind,
                    id=one["id"],
                    name=one["name"],
                    created=one.get("created_at") or one["created"],
                    about=one["about"],
                    size_bytes=one["size_bytes"],
                    unfinished=one["unfinished"],
                )
                for one in reply[key]
            )
        )

    def _get(self, path: str, **parameters: Any) -> Any:
        given = {name: value for name, value in parameters.items() if value}
        query = urlencode(given, doseq=True)
        return self._ask("GET", f"{path}?{query}" if query else path, None)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        try:
            sent = json.dumps(body, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise UsageError(f"An option is no value of JSON: {error}.") from None
        return self._ask("POST", path, sent)

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        """Ask the server, over a connection of its own.

        Raises:
            ServerError: The server cannot be reached, or its answer is no JSON.
        """
        try:
            with closing(self._connect()) as connection:
                return self._exchange(connection, method, path, body)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ServerError(
                f"No answer from {self.url}: {reason}.",
                hint="Start the server (hype serve), or name another one.",
            ) from error

    def _connect(self) -> http.client.HTTPConnection:
        kind = (
            http.client.HTTPSConnection
            if self._parts.scheme == "https"
            else http.client.HTTPConnection
        )
        return kind(str(self._parts.hostname), self._parts.port, timeout=self._seconds)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> Any:
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, self._parts.path + path, body, headers)
        response = connection.getresponse()
        content = response.read(LARGEST_ANSWER + 1)
        if len(content) > LARGEST_ANSWER:
            raise ServerError(f"The answer of {self.url} is larger than {LARGEST_ANSWER:,} bytes.")
        try:
            reply = json.loads(content)
        except ValueError:
            reply = None
        if response.status == 200 and isinstance(reply, dict):
            return reply
        raise _error(self.url, response.status, reply)


def connect(url: str, *, token: str | None = None) -> Connection:
    """Connect to a store behind ``hype serve``.

    Nothing is sent before the first question.

    Args:
        url: Address of the server, such as ``http://127.0.0.1:8080``.
        token: The secret of the server, if it asks for one.

    Raises:
        UsageError: The address is none of http or https.
    """
    return Connection(url, token=token)


def _checked_url(url: str) -> Any:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or not url.isascii() or not url.isprintable():
        raise UsageError(
            f"{url!r:.200} is not the address of a server.",
            hint="Expected one such as http://127.0.0.1:8080",
        )
    return parts


def _read(read: Any) -> Any:
    """Read a reply.

    Raises:
        ServerError: It lacks what the reply of a server of this version has.
    """
    try:
        return read()
    except (KeyError, TypeError, AttributeError) as error:
        raise ServerError(
            f"The server's answer is not as expected: {error}.",
            hint="Use the same version of hype at both ends.",
        ) from error


def _answer(reply: Mapping[str, Any]) -> Answer:
    stages = dict(reply["seconds"])
    return Answer(
        question=reply["query"],
        model=reply["model"]["name"] or reply["model"]["id"],
        embeddings=reply["embeddings"]["name"] or reply["embeddings"]["id"],
        n_documents=reply["n_documents"],
        hits=[Hit(one["rank"], one["doc_id"], one["score"], one["text"]) for one in reply["hits"]],
        seconds=stages.pop("total"),
        query_max_length=reply["query_max_length"],
        is_cut=reply["is_cut"],
        evaluations=reply["evaluations"],
        recall_bound=reply["recall_bound"],
        engine=reply["engine"],
        k=reply["k"],
        batch=reply["batch"],
        stages=stages,
    )


def _leaderboard(board: Mapping[str, Any], table: type[_T]) -> _T:
    measures = board["measures"]
    rows = tuple(
        (
            entry["name"],
            entry["model"],
            entry["engine"],
            *(entry["values"].get(measure) for measure in measures),
            entry["seconds"],
        )
        for entry in board["runs"]
    )
    columns = ("run", "model", "engine", *measures, "seconds")
    return table(f"{board['corpus']} · {board['qrels']}", columns, rows)  # type: ignore[call-arg]


def _error(url: str, status: int, reply: Any) -> Exception:
    """Return the error that a reply describes, of the class that the library raises for it."""
    record = reply.get("error") if isinstance(reply, dict) else None
    if not isinstance(record, dict) or not isinstance(record.get("message"), str):
        return ServerError(
            f"{url} answers with status {status}, and not as a server of hype does.",
            hint="Check the address.",
        )
    kind, hint = str(record.get("type")), record.get("hint")
    known = getattr(hypencli.errors, kind, None)
    if record.get("exit_code") == hypencli.errors.EXIT_STORE:
        import hypestore

        known = getattr(hypestore, kind, hypestore.StoreError)
    elif not (isinstance(known, type) and issubclass(known, HypeError)):
        known = ServerError
    error: Exception = known(record["message"], hint=hint if isinstance(hint, str) else None)
    return error
