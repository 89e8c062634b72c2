"""Training rows that are not what they should be: ``hype data check``, ``hype train``.

Each case stands in ``docs/bad-input.md``. A refusal names file and line, and has exit code 5.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.training import read_training_rows
from hypencli.errors import DataError
from tests.conftest import Hype

DATA = 5


@pytest.fixture
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file whose name no other case has: runs and sets of a store are told apart by it."""
    return tmp_path / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name)}.jsonl"


def row(**changes: Any) -> bytes:
    """A line of a training file."""
    items = [
        {"id": "d1", "content": "water", "score": 1.0},
        {"id": "d2", "content": "star", "score": 0.0},
    ]
    values = {"query": {"id": "q", "content": "river"}, "items": items}
    return json.dumps(values | changes).encode() + b"\n"


def item(**changes: Any) -> dict[str, Any]:
    """The items of a row, of which the second is changed."""
    first = {"id": "d1", "content": "water", "score": 1.0}
    return {"items": [first, {"id": "d2", "content": "star", "score": 0.0, **changes}]}


ROWS_REFUSED: dict[str, tuple[bytes, str]] = {
    "broken line": (row() + b'{"query":', "line 2: not valid JSON"),
    "nul bytes": (row() + row().replace(b"water", b"wa\x00ter"), "line 2: not valid JSON"),
    "invalid utf-8": (row() + row().replace(b"water", b"w\xff"), "line 2: not valid UTF-8"),
    "empty file": (b"", "no training rows"),
    "missing key": (row() + row(items=None), "line 2: items: expected"),
    "empty text": (row() + row(**item(content="")), r"line 2: items[1]: content: expected text"),
    "score beyond float32": (row() + row(**item(score=1e300)), "line 2: items[1]: score"),
    "score of 400 digits": (row() + row(**item(score=10**400)), "line 2: items[1]: score"),
    "score nan": (row() + row(**item(score=float("nan"))), "line 2: items[1]: score"),
}

ROWS_ACCEPTED: dict[str, tuple[bytes, int]] = {
    "byte order mark": (b"\xef\xbb\xbf" + row(), 1),
    "crlf": (row().replace(b"\n", b"\r\n") + row(), 2),
    "number as id": (row(query={"id": 7, "content": "river"}), 1),
    "odd ids": (row(**item(id='a\tb\n"')), 1),
    "duplicate, equal text": (row() * 2, 2),
    "duplicate, different text": (row() + row(**item(content="bread")), 2),
    "emoji only": (row(**item(content="🦜🦜")), 1),
    "a line of ten megabytes": (row(**item(content="river " * 1_700_000)), 1),
}


@pytest.mark.parametrize("case", ROWS_REFUSED)
def test_training_rows_are_refused_by_line(
    case: str, path: Path, hype_in_bench: Hype, tiny_recipe_settings: list[str]
) -> None:
    content, words = ROWS_REFUSED[case]
    path.write_bytes(content)
    place = ["--set", f"data.train={path}"]
    for command in (["data", "check", path], ["train", "tiny", *tiny_recipe_settings, *place]):
        outcome = hype_in_bench(*command)
        assert outcome.code == DATA, outcome.err
        assert f"{path}" in outcome.err
        assert words in outcome.err


@pytest.mark.parametrize("case", ROWS_ACCEPTED)
def test_odd_training_rows_are_counted(case: str, path: Path, hype_in_bench: Hype) -> None:
    content, rows = ROWS_ACCEPTED[case]
    path.write_bytes(content)
    outcome = hype_in_bench("data", "check", path, "--json").json
    assert outcome["survey"]["rows"] == rows
    assert outcome["ready"]
    reused = "different" in case
    assert ("passage_id_reused" in outcome["survey"]["findings"]) == reused


@pytest.mark.parametrize(
    "changed", [{"content": ["9" * 5_000]}, {"type": 10**900}, {"id": ["x" * 5_000]}]
)
def test_a_long_value_is_shown_by_its_beginning(changed: dict[str, Any], path: Path) -> None:
    path.write_bytes(row(**item(**changed)))
    with pytest.raises(DataError, match=r"line 1: items\[1\]: ") as refused:
        list(read_training_rows(path))
    assert len(refused.value.message) < len(str(path)) + 200
