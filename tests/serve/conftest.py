"""Fixture of the server: the application over the finished study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.serve.clients import client_of


@pytest.fixture(scope="session")
def client(finished_study: Path) -> Iterator[TestClient]:
    """The application over the finished study, with SQL; questions go to the Hypencoder."""
    with client_of(finished_study, model="hyper", sql=True) as client:
        yield client
