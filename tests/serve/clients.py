"""Clients of the application, within this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from hypencli.serve.app import create_app
from hypencli.serve.settings import Settings


@contextmanager
def client_of(store: Path, **changes: object) -> Iterator[TestClient]:
    """A client of the application over a store; it keeps the names of TestClient."""
    settings = Settings(store, **{"warm": False, **changes})
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client
