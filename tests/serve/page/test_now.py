"""The stream of current work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs
from hypencli.serve.page import now
from tests.serve.clients import client_of


def events(client: Any, **headers: str) -> list[tuple[str, dict[str, Any]]]:
    """The name and content of each event of a stream."""
    text = client.get("/page/now", headers=headers).text
    blocks = [block.splitlines() for block in text.split("\n\n") if "data: " in block]
    return [
        (name.removeprefix("id: "), json.loads(data.removeprefix("data: ")))
        for name, data in blocks
    ]


def test_a_stream_tells_work_once_for_each_change(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(now, "STREAM_SECONDS", 0.3)
    monkeypatch.setattr(now, "SECONDS_BETWEEN", 0.05)
    store = hs.Store.open(study)
    with client_of(study) as client:
        ((name, told),) = events(client)
        assert told == {"html": "", "works": []}
        assert events(client, **{"Last-Event-ID": name}) == []
        with store.draft("model", "m", {}, name="<b>growing") as draft:
            draft.progress([(1, "loss", 0.5), (2, "loss", 0.25)])
            ((_, told),) = events(client, **{"Last-Event-ID": name})
            assert told["works"] == [draft.id]
            assert "&lt;b&gt;growing" in told["html"]
            assert "loss 0.25 at step 2" in told["html"]


def test_more_watchers_than_the_limit_are_refused(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(now, "WATCHERS", 0)
    with client_of(study) as client:
        assert client.get("/page/now").status_code == 503
