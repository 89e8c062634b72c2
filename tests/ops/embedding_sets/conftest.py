"""Encoding a small corpus, which a listener of the progress can edit or stop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.ops.encode import Encoded, EncodeOptions, encode
from hypencli.ops.models import ModelSource
from hypencli.progress import Task
from hypestore import Store

HYPER = ModelSource("hyper")
ROWS = 8
OPTIONS = EncodeOptions(shard_rows=ROWS, max_length=32)


class Stopped(Exception):
    """A command that ends here, as a killed one does."""


class Listener:
    """Progress that acts when work begins, and at a shard.

    Args:
        on_begin: Called when the corpus is identified, before it is read.
        stop_at: Number of a shard at which the command is stopped.
        stop_after: Number of documents after which the command is stopped.
    """

    def __init__(
        self,
        on_begin: Callable[[], object] = lambda: None,
        stop_at: int | None = None,
        stop_after: int | None = None,
    ) -> None:
        self.messages: list[str] = []
        self.on_begin = on_begin
        self.stop_at = stop_at
        self.stop_after = stop_after
        self.done = 0
        self.total: int | None = None

    @contextmanager
    def task(self, description: str, *, total: int | None = None, **_: Any) -> Iterator[Task]:
        """One job, whose reports are kept."""
        outer = self
        outer.total = total

        class One:
            def advance(self, count: int = 1) -> None:
                outer.done += count
                if outer.stop_after is not None and outer.done >= outer.stop_after:
                    raise Stopped

            def set_total(self, total: int) -> None:
                outer.total = total

            def note(self, text: str) -> None:
                if text == f"shard {outer.stop_at}":
                    raise Stopped

        yield One()

    def message(self, text: str) -> None:
        """Keep a message; the work begins at one."""
        self.messages.append(text)
        if text.startswith("encoding "):
            self.on_begin()


@pytest.fixture
def store(study: Path) -> Store:
    """A store with models."""
    return Store.open(study)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A corpus of three shards, the last one of four documents."""
    return write(tmp_path / "notes.jsonl", "river")


def write(path: Path, word: str, n: int = 20) -> Path:
    """Write ``n`` documents with a word."""
    lines = [json.dumps({"id": f"d{i}", "text": f"{word} water {i % 7}"}) for i in range(n)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(
    store: Store, path: Path, options: EncodeOptions = OPTIONS, progress: Listener | None = None
) -> Encoded:
    """Encode a file."""
    return encode(store, open_corpus(path), HYPER, options, progress or Listener())


def files(store: Store, encoded: Encoded) -> dict[str, str]:
    """Name -> hash of the files of a set."""
    folder = store.path(encoded.embeddings)
    assert not (folder / "unfinished").exists()
    return {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.glob("*.parquet")
    }
