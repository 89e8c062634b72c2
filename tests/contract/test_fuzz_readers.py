"""Readers fed with files that are nearly right: what they give is valid, or the error says where.

The fast tests take a fixed slice; ``make fuzz`` feeds each reader 100,000 new files
(``HYPE_FUZZ_FILES``).
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import resource
import struct
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from hypencli.data.corpus import open_corpus
from hypencli.data.exchange import EncodedItem, open_encoded, read_item_stream, write_item_stream
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.data.reading.judgements import MAX_GRADE
from hypencli.data.runs import read_run, write_run
from hypencli.data.training import read_training_rows
from hypencli.errors import RecipeError
from hypencli.recipe import load_recipe
from hypencli.recipe.rendering import to_toml
from hypestore import StoreError
from hypestore.manifest import read_manifest
from tests.contract.fuzzed_files import FILES as STRUCTURED
from tests.contract.fuzzed_files import bending, run_files
from tests.contract.fuzzing import Reader, edited, fuzz

FILES = int(os.environ.get("HYPE_FUZZ_FILES", "2000"))
"""Files of each reader in the slow tests."""

VARIANTS = 9
"""Of ten files there, Hypothesis draws one; the others are made of the same content."""

FAST_EXAMPLES = 100
MEMORY_BYTES = 768 * 2**20
"""What the process may grow by in a slow test: limits of the readers are at 256 MiB."""

WORDS = [
    *("q1", "q2", "d1", "d2", "0", "1", "-1", "+2", "2.5", "nan", "inf", "-Infinity", "1e999"),
    *("1e300", "3.4028235e38", "1_0", "１", "0x1", "", "#", "{", "Q0", "tag", "\x00", "a\u2028b"),
    *("🦜", "9" * 400, "query-id", "corpus-id", "score", "id", "text", "true", "\u00a0"),
]


words = st.sampled_from(WORDS)
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | words | st.text(max_size=3)
keys = st.sampled_from(
    ["id", "_id", "text", "title", "contents", "query", "items", "content", "score", "type", "q1"]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | words, inner, max_size=3),
    max_leaves=6,
)
ends = st.sampled_from(["\n", "\n", "\r\n", "\n\n", "\r", ""])


def lines(rows: st.SearchStrategy[str], head: str = "") -> st.SearchStrategy[bytes]:
    whole = st.lists(st.tuples(rows, ends).map("".join), max_size=5)
    return whole.map(lambda actual: (head + "".join(actual)).encode("utf-8", "surrogatepass"))


def columns(separator: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.lists(words, min_size=least, max_size=most).map(separator.join)


def as_json(records: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return st.tuples(records, st.booleans()).map(lambda x: json.dumps(x[0], ensure_ascii=x[1]))


documents = st.fixed_dictionaries({"id": words | values, "text": words | values})
loose = st.dictionaries(keys, values, max_size=4)
ranked = st.lists(st.fixed_dictionaries({"id": words, "score": st.floats() | words}), max_size=3)
searched = st.fixed_dictionaries(
    {"query": st.fixed_dictionaries({"id": words}), "items": ranked | values}
)
passage = st.fixed_dictionaries({"id": words, "content": words | values, "score": scalars})
row = st.fixed_dictionaries(
    {"query": passage | values, "items": st.lists(passage, min_size=1, max_size=3) | values}
)
grades = st.dictionaries(words, st.dictionaries(words, st.integers(-2, 3) | scalars, max_size=3))

CORPORA = lines(as_json(documents | loose)) | lines(columns("\t", 2, 2) | columns("\t", 0, 4))
CSV = lines(columns(",", 2, 2) | columns(",", 0, 4), head="id,text\n") | lines(
    st.lists(words.map('"{}"'.format), min_size=2, max_size=2).map(";".join), head="_id;contents\n"
)
RUNS = (
    lines(columns(" ", 6, 6) | columns(" ", 0, 7) | columns("\t", 6, 6))
    | lines(st.sampled_from(["q1 Q0 d1 1 2.5 t", "q1 Q0 d2 2 1 t", "q2 Q0 d1 0 -1 t"]))
    | lines(as_json(searched | loose))
)
JUDGEMENTS = (
    lines(columns(" ", 4, 4) | columns(" ", 0, 6) | columns("\t", 4, 4))
    | lines(columns("\t", 3, 3) | columns("\t", 0, 4), head="query-id\tcorpus-id\tscore\n")
    | as_json(grades | values).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
ROWS = lines(as_json(row | loose))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A published stream, of which an item may be edited before it is packed again."""
    vector = st.lists(st.floats(width=32), min_size=2, max_size=2)
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    drawn = draw(st.lists(st.tuples(texts, vector, texts), max_size=3))
    out = io.BytesIO()
    write_item_stream([EncodedItem(a, np.array(v, "f4"), t) for a, v, t in drawn], out)
    packed, place, parts = out.getvalue(), 0, []
    while length := struct.unpack_from(">I", packed, place)[0]:
        record = packed[place + 4 : place + 4 + length]
        if draw(st.booleans()):
            inner = draw(edited(st.just(gzip.decompress(record))))
            record = gzip.compress(inner, mtime=0)
        parts.append(struct.pack(">I", len(record)) + record)
        place += 4 + length
    return b"".join(parts) + bytes(4)


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """A NumPy file with a header of any kind, and as much data as two rows of two have."""
    kind = st.sampled_from(
        ["'<f4'", "'<f2'", "'>f8'", "'|O'", "'<i4'", "[('a', '<f4')]", "'<f4'*9"]
    )
    shape = st.sampled_from(
        ["(2, 2)", "(2, 2)", "(4,)", "(0, 2)", "(-1, 2)", "(2**40, 2)", "(1099511627776, 2)", "2"]
    )
    fortran = st.sampled_from(["False", "True", "None"])
    header = (
        f"{{'descr': {draw(kind)}, 'fortran_order': {draw(fortran)}, 'shape': {draw(shape)}, }}"
    )
    raw = draw(edited(st.just(header.encode()))).ljust(118) + b"\n"
    data = np.array(draw(st.lists(st.floats(width=32), min_size=4, max_size=4)), "<f4").tobytes()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw) % 65536) + raw + data


MANIFEST: dict[str, Any] = {
    "format_version": 1,
    "kind": "run",
    "id": "a-run",
    "name": "bm25",
    "created": "2026-01-02T03:04:05+00:00",
    "inputs": {"engine": "imported", "k": 10},
    "parents": ["a-model"],
    "files": [{"path": "results.parquet", "size_bytes": 3, "sha256": "0" * 64}],
    "stats": {"n_queries": 1},
    "provenance": {"hype": "0.3.0"},
}


@st.composite
def manifests(draw: st.DrawFn) -> bytes:
    content = json.loads(json.dumps(MANIFEST))
    tables = [content, content["inputs"], content["files"][0]]
    for _ in range(draw(st.integers(0, 2))):
        within = draw(st.sampled_from(tables))
        key = draw(st.sampled_from([*within, "more"]))
        if draw(st.booleans()):
            within[key] = draw(values)
        else:
            within.pop(key, None)
    return json.dumps(content, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


RECIPE = to_toml(load_recipe("tiny")).encode()


def check_corpus(path: Path) -> None:
    actual = list(open_corpus(path))
    assert open_corpus(path).count == len(actual) > 0
    assert len({document.doc_id for document in actual}) == len(actual)
    for document in actual:
        assert document.doc_id
        (document.doc_id + document.text).encode("utf-8")


def check_queries(path: Path) -> None:
    actual = open_queries(path)
    assert len({query.query_id for query in actual}) == len(actual) > 0
    for query in actual:
        assert query.query_id
        (query.query_id + query.text).encode("utf-8")


def check_run(path: Path) -> None:
    actual = read_run(path)
    for query_id, ranking in actual.results.items():
        assert query_id
        assert all(doc_id and doc_id.encode("utf-8") for doc_id, _ in ranking)
        assert len({doc_id for doc_id, _ in ranking}) == len(ranking)
        scores = [score for _, score in ranking]
        assert np.isfinite(np.array(scores, dtype=np.float32)).all()
        assert scores == sorted(scores, reverse=True)
    again = path.with_name("again.jsonl")
    write_run(again, actual.results, actual.queries, format="jsonl")
    if actual.results:
        assert read_run(again).results == actual.results


def check_qrels(path: Path) -> None:
    for query_id, judged in read_qrels(path).qrels.items():
        assert query_id
        assert judged
        for doc_id, grade in judged.items():
            assert (query_id + doc_id).encode("utf-8")
            assert doc_id
            assert type(grade) is int
            assert abs(grade) <= MAX_GRADE


def check_rows(path: Path) -> None:
    for actual in read_training_rows(path):
        assert actual.query.query_id
        assert actual.items
        for item in actual.items:
            assert item.id
            assert item.content.strip()
            assert item.score is None or np.isfinite(np.float32(item.score))


def check_items(actual: list[EncodedItem]) -> None:
    assert actual
    width = len(actual[0].vector)
    for item in actual:
        assert item.doc_id
        assert item.vector.shape == (width,)
        assert item.vector.dtype.kind == "f"


def check_array(path: Path) -> None:
    ids = path.with_name("ids.txt")
    ids.write_text("a\nb\n", encoding="utf-8")
    check_items(list(open_encoded(path, ids=ids)))


def check_manifest(path: Path) -> None:
    actual = read_manifest(path)
    path.write_text(actual.to_text(), encoding="utf-8")
    assert read_manifest(path) == actual


def check_recipe(path: Path) -> None:
    actual = load_recipe(path)
    again = path.with_name("again.toml")
    again.write_text(to_toml(actual), encoding="utf-8")
    assert load_recipe(again).hash == actual.hash


GZIP = "|gzip data"
READERS = {
    "corpus jsonl": Reader("c.jsonl", CORPORA, check_corpus),
    "corpus": Reader("documents", CORPORA, check_corpus),
    "corpus tsv": Reader("c.tsv", CORPORA, check_corpus),
    "queries": Reader("queries", CORPORA, check_queries),
    "run": Reader("a.run", RUNS, check_run, r"line \d|row \d|file is empty|Parquet" + GZIP),
    "qrels": Reader(
        "q.txt",
        JUDGEMENTS,
        check_qrels,
        r"line \d|, query .*:|file is empty|no judgements|not valid JSON|expected TREC" + GZIP,
    ),
    "training rows": Reader(
        "t.jsonl", ROWS, check_rows, r"line \d|no training rows|Parquet|Arrow" + GZIP
    ),
    "docs": Reader(
        "x.docs",
        streams(),
        lambda path: check_items(list(read_item_stream(path))),
        r"byte \d|no items in it|item '.*' has",
    ),
    "npy": Reader(
        "x.npy", arrays(), check_array, r"not a NumPy array|an array of|byte \d|rows, and"
    ),
    "manifest": Reader("manifest.json", manifests(), check_manifest, " ", StoreError),
    "recipe": Reader("r.toml", st.just(RECIPE), check_recipe, r": ", RecipeError),
    "corpus csv": Reader("c.csv", CSV, check_corpus),
    "queries csv": Reader("q.csv", CSV, check_queries),
    "queries tsv": Reader("q.tsv", CORPORA, check_queries),
    **STRUCTURED,
    "run parquet": bending(
        "a.parquet", run_files, check_run, r"line \d|row \d|Parquet|empty|no results" + GZIP
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files are: a manifest belongs into the folder of its artifact."""
    place = tmp_path / "a-run"
    place.mkdir()
    return place


@pytest.mark.parametrize("name", READERS)
def test_a_reader_gives_what_is_valid_or_says_where(name: str, folder: Path) -> None:
    assert fuzz(READERS[name], folder, examples=FAST_EXAMPLES) >= FAST_EXAMPLES


@pytest.mark.slow
@pytest.mark.timeout(FILES + 600)
@pytest.mark.parametrize("name", READERS)
def test_a_reader_holds_for_many_files(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin, fed = time.process_time(), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first = time.time_ns() % 2**32
    for seed in itertools.count(first):
        fed += fuzz(READERS[name], folder, examples=100, seed=seed, variants=VARIANTS)
        if fed >= FILES:
            break
    spent = time.process_time() - begin
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: {fed:,} files in {spent / 60:.1f} minutes, seeds from {first}, "
            f"{grown / 2**20:.0f} MiB\n"
        )
    assert grown < MEMORY_BYTES
