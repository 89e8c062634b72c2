"""Hostile input, and the small store that it attacks."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import hypestore as hs
from hypestore.manifest import SEAL, seal_of


@contextmanager
def little_memory(limit_bytes: int = 64 * 2**20) -> Iterator[None]:
    """Fails where more is taken at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit_bytes
    finally:
        tracemalloc.stop()


def sealed(raw: dict[str, Any]) -> None:
    """Whoever makes a manifest can make a seal that fits it: a seal finds damage, not malice."""
    raw["provenance"][SEAL] = seal_of(raw)


def zipped(files: dict[str, bytes]) -> bytes:
    """An archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


class Payload:
    """Unpickled, it runs a command."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.canary}'",)


def array_file(header: str, values: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + values


ARRAYS = {
    "absurd": array_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2**9, 4), }"),
    "huge": array_file(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**50}, 1024), }}"),
    "huge graph": array_file(
        f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({2**50}, 2), }}"
    ),
    "negative": array_file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }"),
    "code": array_file("{'descr': __import__('os').system('true'), 'shape': (1, 4)}"),
    "deep": array_file("(" * 9_000),
    "long": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{",
    "version": b"\x93NUMPY\x09\x00" + bytes(99),
}


def objects(canary: Path) -> bytes:
    """An array of objects, which NumPy unpickles when it is allowed to."""
    out = io.BytesIO()
    np.save(out, np.array([Payload(canary)], dtype=object), allow_pickle=True)
    return out.getvalue()


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def small_store(folder: Path) -> hs.Store:
    """An embedding set of two shards, its graph, and an evaluated run."""
    store_made = hs.Store.create(folder)
    spec = hs.EmbeddingSpec(id_prefix="docs", inputs={"corpus": "c"}, dim=4, shard_rows=3)
    with store_made.embedding_work(spec, name="docs") as work:
        for shard, count in enumerate((3, 2)):
            ids = [f"d{shard}-{i}" for i in range(count)]
            vectors = np.ones((count, 4), np.float32)
            work.write_shard(shard, ids, vectors, ids)
        work.finish(5)
    with store_made.graph_draft("docs", "g", {}, k=2, name="near") as draft:
        draft.write([np.array([[(i + 1) % 5, (i + 2) % 5] for i in range(5)])])
        draft.commit()
    with store_made.run_writer("r", {"corpus": "c"}, name="run") as writer:
        writer.queries([("q", "text")])
        writer.append(["q"], ["d0-0"], [1], [1.0])
        run = writer.commit()
    store_made.write_evaluation(
        run.id, qrels_id="qrels", inputs={}, per_query=[("q", "RR", 1.0)], aggregates={"RR": 1.0}
    )
    return store_made
