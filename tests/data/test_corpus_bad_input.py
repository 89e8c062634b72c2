"""Corpora and queries that are not what they should be, through the real verbs.

Each case stands in ``docs/bad-input.md``. A refusal names file and line, has exit code 5, and
leaves the store as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Hype

USAGE, DATA, MODEL = 2, 5, 6

GOOD = b'{"id": "a", "text": "river water"}\n'


def second(line: bytes) -> bytes:
    """A file whose second line is this one."""
    return GOOD + line + b"\n"


REFUSED: dict[str, tuple[bytes, str]] = {
    "broken line": (second(b'{"id": "b"'), "line 2: not valid JSON"),
    "not an object": (second(b'["b", "bread"]'), "line 2: a JSON object was expected"),
    "nul bytes": (second(b'{"id": "b", "text": "x\x00y"}'), "line 2: not valid JSON"),
    "line of nul bytes": (second(b"\x00\x00\x00"), "line 2: not valid JSON"),
    "invalid utf-8": (second(b'{"id": "b", "text": "na\xefve"}'), "line 2: not valid UTF-8"),
    "empty file": (b"", "the file is empty"),
    "blank lines only": (b"\n \r\n\n", "the file is empty"),
    "missing key": (second(b'{"id": "b"}'), "line 2: no 'text' here; its keys are 'id'"),
    "id of another type": (second(b'{"id": 1.5, "text": "x"}'), "line 2, 'id': an id must be"),
    "id empty": (second(b'{"id": "", "text": "x"}'), "line 2, 'id': an id must be"),
    "half a surrogate pair": (second(b'{"id": "b", "text": "\\ud800"}'), "half a surrogate pair"),
    "duplicate, equal text": (GOOD * 2, "the id 'a' is there twice, at lines 1 and 2"),
    "duplicate, different text": (
        second(b'{"id": "a", "text": "bread"}'),
        "the id 'a' is there twice, at lines 1 and 2",
    ),
}

ODD_IDS = [
    "a\tb",
    "a\nb",
    'a"b',
    "it's",
    "'; DROP TABLE runs; --",
    "../../x",
    " ",
    "b\x00c",
    "\u202e",
]
"""Every string is an id: the store keeps ids as values, and never makes names or SQL of them."""

ACCEPTED: dict[str, tuple[bytes, list[str]]] = {
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, ["a"]),
    "crlf": (GOOD.replace(b"\n", b"\r\n") + b'{"id": "b", "text": "x"}\r\n', ["a", "b"]),
    "number as id": (second(b'{"id": 7, "text": "bread"}'), ["7", "a"]),
    "odd ids": (
        b"".join(json.dumps({"id": one, "text": "bread"}).encode() + b"\n" for one in ODD_IDS),
        sorted(ODD_IDS),
    ),
    "escaped nul": (second(b'{"id": "b", "text": "x\\u0000y"}'), ["a", "b"]),
    "empty text": (second(b'{"id": "b", "text": ""}'), ["a", "b"]),
    "nothing but empty text": (b'{"id": "b", "text": " "}\n', ["b"]),
    "emoji only": (second('{"id": "b", "text": "🦜🦜"}'.encode()), ["a", "b"]),
}


@pytest.fixture
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file whose name no other case has: runs and sets of a store are told apart by it."""
    return tmp_path / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name)}.jsonl"


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("verb", ["encode", "search"])
def test_a_file_of_texts_is_refused_by_line(
    verb: str, case: str, path: Path, hype_in_bench: Hype, artifacts: Callable[[], set[str]]
) -> None:
    content, words = REFUSED[case]
    path.write_bytes(content)
    named = ["--embeddings", "hyper-docs"] if verb == "search" else []
    before = artifacts()
    outcome = hype_in_bench(verb, path, "--model", "hyper", *named)
    assert outcome.code == DATA, outcome.err
    assert str(path) in outcome.err
    assert words in outcome.err
    assert outcome.out == ""
    assert artifacts() == before


@pytest.mark.parametrize("case", ACCEPTED)
def test_an_odd_corpus_is_encoded_searched_and_read_back(
    case: str, path: Path, hype_in_bench: Hype, tiny_collection: Path, tmp_path: Path
) -> None:
    content, ids = ACCEPTED[case]
    path.write_bytes(content)
    outcome = hype_in_bench("encode", path, "--model", "hyper", "--json").json
    assert outcome["n_documents"] == len(ids)
    queries = tiny_collection / "queries.jsonl"
    named = ["--embeddings", outcome["embeddings"], "--model", "hyper", "--json"]
    run = hype_in_bench("search", queries, *named).json["run"]
    written = tmp_path / "run.jsonl"
    assert hype_in_bench("export", "run", run, "-o", written).code == 0
    record = json.loads(written.read_text(encoding="utf-8").splitlines()[0])
    assert sorted(item["id"] for item in record["items"]) == ids
    qrels = tmp_path / "qrels.json"
    qrels.write_text(json.dumps({"q0": dict.fromkeys(ids, 1)}), encoding="utf-8")
    outcome = hype_in_bench("eval", run, "--qrels", qrels, "--measures", "R@1000", "--json").json
    assert outcome["aggregates"] == {"R@1000": 1.0}


@pytest.mark.parametrize("case", ACCEPTED)
def test_odd_queries_are_searched(case: str, path: Path, hype_in_bench: Hype) -> None:
    content, ids = ACCEPTED[case]
    path.write_bytes(content)
    named = ["--model", "hyper", "--embeddings", "hyper-docs", "-k", "2", "--json"]
    assert hype_in_bench("search", path, *named).json["n_results"] == 2 * len(ids)


def test_tsv_of_another_width_is_refused_for_corpora_and_queries(
    tmp_path: Path, hype_in_bench: Hype
) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("1\triver\n2\n", encoding="utf-8")
    for command in (["encode", path], ["search", path, "--embeddings", "hyper-docs"]):
        outcome = hype_in_bench(*command, "--model", "hyper")
        assert (outcome.code, "c.tsv, line 2: 1 columns" in outcome.err) == (DATA, True)


def test_a_line_of_ten_megabytes_and_a_million_words_is_encoded(
    path: Path, hype_in_bench: Hype
) -> None:
    path.write_text(json.dumps({"id": "long", "text": "river " * 1_700_000}), encoding="utf-8")
    assert path.stat().st_size > 10_000_000
    outcome = hype_in_bench(
        "encode", path, "--model", "hyper", "--max-length", "128", "--json"
    ).json
    cut = path.with_name("cut.jsonl")
    cut.write_text(json.dumps({"id": "long", "text": "river " * 200}), encoding="utf-8")
    other = hype_in_bench("encode", cut, "--model", "hyper", "--max-length", "128", "--json").json
    scores = []
    for one in (outcome, other):
        named = ["--embeddings", one["embeddings"], "--model", "hyper", "--json"]
        scores.append(hype_in_bench("query", "what is river", *named).json["hits"][0]["score"])
    assert scores[0] == scores[1]  # both are their first 128 tokens


def test_a_text_longer_than_the_encoder_reads_says_what_to_cut_to(
    path: Path, hype_in_bench: Hype
) -> None:
    """The default length is 512, and the tiny encoder has 128 positions."""
    path.write_text(json.dumps({"id": "long", "text": "river " * 300}), encoding="utf-8")
    outcome = hype_in_bench("encode", path, "--model", "hyper")
    assert outcome.code == MODEL
    assert "A text of 302 tokens, and the encoder reads 128" in outcome.err
    assert "--max-length 128" in outcome.err
    assert hype_in_bench("encode", path, "--model", "hyper", "--max-length", "128").code == 0


def test_a_question_that_is_no_text_is_refused(hype_in_bench: Hype) -> None:
    """What a shell hands over for bytes that are not UTF-8."""
    outcome = hype_in_bench(
        "query", "river \udcff", "--model", "hyper", "--embeddings", "hyper-docs"
    )
    assert (outcome.code, "is not valid UTF-8" in outcome.err) == (USAGE, True)
    assert (
        hype_in_bench("query", "river \x00", "--model", "hyper", "--embeddings", "hyper-docs").code
        == 0
    )
