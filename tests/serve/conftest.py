"""Fixtures of the server: the application over the finished study, and a server at a socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from hypencli.serve.settings import Settings
from tests.serve.clients import client_of


@pytest.fixture(scope="session")
def client(finished_study: Path) -> Iterator[TestClient]:
    """The application over the finished study, with SQL; questions go to the Hypencoder."""
    with client_of(finished_study, model="hyper", sql=True) as client:
        yield client


@pytest.fixture(scope="session")
def address(finished_study: Path) -> Iterator[str]:
    """The address of a server at a socket, in a thread of this process."""
    from hypencli.serve.run import make_server

    started = threading.Event()
    urls: list[str] = []

    def on_started(url: str) -> None:
        urls.append(url)
        started.set()

    settings = Settings(finished_study, model="hyper", sql=True, warm=False, port=0)
    server, opened = make_server(settings, on_started)
    with opened:
        thread = threading.Thread(target=server.run, args=([opened],))
        thread.start()
        assert started.wait(30)
        yield urls[0]
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
