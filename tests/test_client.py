"""A store behind a server, asked over a socket."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypencli
from hypencli.client import ServerError
from hypencli.errors import DataError, HypeError, UsageError
from hypestore import ArtifactNotFound, CatalogQueryError


def test_answers_are_those_of_the_store(address: str, finished_study: Path) -> None:
    remote, local = hypencli.connect(address), hypencli.open_store(finished_study)
    asked = {"k": 3, "model": "hyper", "engine": "guided", "budget": 50}
    there, here = remote.query("what is a river", **asked), local.query("what is a river", **asked)
    for name in ("question", "model", "embeddings", "n_documents", "hits", "evaluations", "is_cut"):
        assert getattr(there, name) == getattr(here, name)
    assert there.to_dicts() == here.to_dicts()
    both = remote.queries(["bread", "moon"], k=2)
    assert [one.question for one in both] == ["bread", "moon"]
    assert remote.document(here.hits[0].doc_id) == here.hits[0].text


def test_lists_tables_and_comparisons_are_those_of_the_store(
    address: str, finished_study: Path
) -> None:
    remote, local = hypencli.connect(address), hypencli.open_store(finished_study)
    for kind in ("models", "embeddings", "runs"):
        there, here = getattr(remote, kind)(), getattr(local, kind)()
        assert [(one.id, one.name, one.created) for one in there] == [
            (one.id, one.name, one.created) for one in here
        ]
    (there_board,), (here_board,) = (
        one.leaderboard(measures=["RR", "nDCG@10"]) for one in (remote, local)
    )
    assert there_board.to_dicts() == here_board.to_dicts()
    pair = ("hyper-run", "plain-run")
    assert (
        remote.compare(*pair, measures=["RR"]).tests == local.compare(*pair, measures=["RR"]).tests
    )
    statement = "SELECT name FROM models ORDER BY name"
    assert remote.sql(statement).to_dicts() == local.sql(statement).to_dicts()


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda one: one.query(" "), DataError, "The question is empty"),
        (lambda one: one.query("x", engine="nope"), UsageError, "no engine"),
        (lambda one: one.query("x", budgets=3), UsageError, "no option 'budgets'"),
        (lambda one: one.query("x", model="nope"), ArtifactNotFound, "No model"),
        (lambda one: one.query("x", k=float("nan")), UsageError, "no value of JSON"),
        (lambda one: one.document("nope"), ArtifactNotFound, "no document 'nope'"),
        (lambda one: one.sql("DROP TABLE runs"), CatalogQueryError, "DROP"),
        (lambda one: one.compare("nope", "hyper-run"), ArtifactNotFound, "nope"),
    ],
    ids=["empty", "engine", "option", "model", "nan", "document", "sql", "run"],
)
def test_errors_of_the_server_are_those_of_the_library(
    address: str, ask: Callable[[Any], object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        ask(hypencli.connect(address))


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://x", "http://", "http://x?y", "http://x:0", "http://x\n"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="not the address of a server"):
        hypencli.connect(url)


def test_a_server_that_is_not_there_or_is_another_one_is_told() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ServerError, match="No answer from"):
            hypencli.connect(url).runs()
        listening.listen()

        def answer() -> None:
            for reply in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"SSH-2.0-x\r\n"):
                taken, _ = listening.accept()
                with taken:
                    taken.recv(1000)
                    taken.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        for says in ("not as a server of hype does", "No answer from"):
            with pytest.raises(HypeError, match=says):
                hypencli.connect(url).runs()
        thread.join()


def test_a_question_imports_no_heavy_library(address: str) -> None:
    script = (
        "import sys, hypencli; hypencli.connect(sys.argv[1]).query('bread', k=1); "
        "print([one for one in ('torch', 'numpy', 'pyarrow', 'duckdb', 'pydantic', 'fastapi') "
        "if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, address], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
