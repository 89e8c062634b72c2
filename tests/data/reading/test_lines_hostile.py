"""Packed files of others: a few kilobytes that unpack to more than memory holds."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hypencli.data.reading import lines
from tests.conftest import Hype
from tests.hostile import little_memory


def test_packed_lines_and_files_have_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hype: Hype, study: Path
) -> None:
    """A few kilobytes that unpack to one line, or one JSON file, without end."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 2**20)
    monkeypatch.setattr(lines, "MAX_WHOLE_BYTES", 2**20)
    bomb = tmp_path / "bomb.jsonl.gz"
    bomb.write_bytes(gzip.compress(b'{"id": "a", "text": "' + bytes(2**25)))
    qrels = tmp_path / "qrels.json.gz"
    qrels.write_bytes(gzip.compress(b'{"q": {"d": ' + b" " * 2**25))
    with little_memory(16 * 2**20):
        shown = hype("encode", bomb, "--model", "plain", "--store", study)
        assert (shown.code, "longer than 1,048,576 bytes" in shown.err) == (5, True)
        shown = hype("eval", "plain-run", "--qrels", qrels, "--store", study)
        assert (shown.code, shown.err.count("1,048,576")) == (5, 1)
