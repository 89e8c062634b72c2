"""Streams of encoded items of others: no pickle is read, no claim of size believed."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import pytest

from hypencli.data.exchange.protobuf import encode_field, encode_varint
from tests.conftest import Hype
from tests.hostile import Payload


def packed(message: bytes) -> bytes:
    record = gzip.compress(message)
    return struct.pack(">I", len(record)) + record + struct.pack(">I", 0)


def item(**nodes: bytes) -> bytes:
    entries = (encode_field(1, key.encode()) + encode_field(2, node) for key, node in nodes.items())
    return b"".join(encode_field(1, entry) for entry in entries)


def dense(shape: int, dtype: bytes = b"<f4", values: bytes = bytes(8)) -> bytes:
    fields = encode_field(1, values) + encode_field(2, encode_varint(shape))
    return encode_field(6, encode_field(1, fields + encode_field(3, dtype)))


TEXT = encode_field(1, b"x")
STREAMS = {
    "an item of 4 GiB": struct.pack(">I", 2**32 - 1) + b"x",
    "an item of 1 GiB of zeros": packed(bytes(2**28)),
    "a vector of 8 EiB": packed(item(id=TEXT, text=TEXT, representation=dense(2**61))),
    "objects": packed(item(id=TEXT, text=TEXT, representation=dense(1, b"|O"))),
    "a field without end": packed(b"\x0a" + encode_varint(2**62)),
    "a number without end": packed(b"\xff" * 99),
}


@pytest.mark.parametrize("case", [*STREAMS, "a pickle", "a packed pickle"])
def test_streams_of_others(
    hype: Hype, study: Path, tmp_path: Path, canary: Path, case: str
) -> None:
    """DocArray reads pickles and protocol buffers alike; here there are only the latter."""
    payload = pickle.dumps(Payload(canary))
    content = STREAMS.get(case) or {"a pickle": payload, "a packed pickle": packed(payload)}[case]
    path = tmp_path / "x.docs"
    path.write_bytes(content)
    shown = hype(
        *("import", "embeddings", path, "--model", "plain", "--corpus", "c", "--store", study)
    )
    assert shown.code == 5
    assert "x.docs, byte 0" in shown.err


def test_what_the_canary_would_show(canary: Path) -> None:
    """The payload of these tests does what it says when something unpickles it."""
    pickle.loads(pickle.dumps(Payload(canary)))
    assert canary.exists()
    canary.unlink()
