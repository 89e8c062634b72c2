"""Graphs from files and to files: what comes in goes out, and what is wrong is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import hypestore
from hypencli.errors import DataError, UsageError
from hypencli.ops.graphs.find import find_graph
from hypencli.ops.transfer.graphs import export_graph, import_graph
from hypestore import EmbeddingSpec, Manifest, Store

ROWS = {"a": ["b", "ü"], "ü": ["a"], "b": ["a", "ü", "7"], "7": [], "e": ["7", "b"]}
ORDINALS = [[1, 2, -1], [0, 2, 3], [0, -1, -1], [-1, -1, -1], [3, 1, -1]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


@pytest.fixture
def docs(store: Store) -> Manifest:
    """Documents a, b, ü | 7, e, in two shards."""
    vectors = np.array([[0, 0], [1, 0], [0, 1.5], [4, 4], [4, 5]], dtype=np.float32)
    spec = EmbeddingSpec(
        id_prefix="docs",
        inputs={"corpus": "x"},
        dim=2,
        dtype="float32",
        shard_rows=3,
        keep_text=False,
    )
    with store.embedding_work(spec, name="docs") as work:
        work.write_shard(0, ["a", "b", "ü"], vectors[:3], None)
        work.write_shard(1, ["7", "e"], vectors[3:], None)
        return work.finish(5)


def lines(rows: dict[str, list[str]]) -> list[str]:
    return [
        json.dumps({"item_id": doc_id, "neighbors": near}, ensure_ascii=False)
        for doc_id, near in rows.items()
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "their graph.jsonl"
    path.write_text("\n".join(lines(ROWS)) + "\n", encoding="utf-8")
    return path


def test_lines_in_any_order_become_rows_in_that_of_the_set(
    store: Store, docs: Manifest, file: Path
) -> None:
    taken = import_graph(store, file, docs)
    assert (taken.name, taken.k, taken.n_edges, taken.n_documents) == ("their-graph", 3, 8, 5)
    assert (taken.recall, taken.existing) == (None, False)
    graph = store.graph("their-graph")
    assert graph.neighbours.tolist() == ORDINALS
    assert graph.manifest.inputs["builder"] == "imported"
    assert graph.manifest.inputs["metric"] is None
    assert graph.manifest.parents == (docs.id,)
    assert find_graph(store, docs.id, k=2).name == "their-graph"
    assert import_graph(store, file, docs).existing


def test_compressed_and_with_numbers_for_ids(store: Store, docs: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "packed.jsonl.gz"
    text = "\n".join(lines(ROWS)).replace('"7"', "7")
    path.write_bytes(gzip.compress(text.encode()))
    assert import_graph(store, path, docs).name == "packed"
    assert store.graph("packed").neighbours.tolist() == ORDINALS


def test_a_known_metric_lets_recall_be_measured(store: Store, docs: Manifest, file: Path) -> None:
    """Of a's three nearest (b, ü, 7) two are there, of b's all, of ü's one, 7's none, e's two."""
    taken = import_graph(store, file, docs, metric="l2")
    assert taken.recall == pytest.approx((2 + 3 + 1 + 0 + 2) / 15)
    assert taken.low


def test_what_comes_in_goes_out(store: Store, docs: Manifest, file: Path, tmp_path: Path) -> None:
    import_graph(store, file, docs, name="g")
    out = tmp_path / "out.jsonl"
    done = export_graph(store, "g", output=out)
    assert (done.format, done.n_documents, done.k, done.n_edges) == ("jsonl", 5, 3, 8)
    in_order = {doc_id: ROWS[doc_id] for doc_id in ("a", "b", "ü", "7", "e")}
    assert out.read_text(encoding="utf-8").splitlines() == lines(in_order)
    again = import_graph(store, out, docs, name="again")
    assert store.graph(again.graph).neighbours.tolist() == ORDINALS
    narrow = export_graph(store, "g", output=out, k=1, overwrite=True)
    assert narrow.n_edges == 4
    first = {doc_id: near[:1] for doc_id, near in in_order.items()}
    assert out.read_text(encoding="utf-8").splitlines() == lines(first)


def test_as_an_array(store: Store, docs: Manifest, file: Path, tmp_path: Path) -> None:
    import_graph(store, file, docs, name="g")
    out = tmp_path / "out.npy"
    export_graph(store, "g", output=out, k=2)
    actual = np.load(out)
    assert actual.dtype == np.int32
    assert actual.tolist() == [row[:2] for row in ORDINALS]


def test_the_default_file_is_named_after_the_graph(
    store: Store, docs: Manifest, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_graph(store, file, docs, name="g")
    monkeypatch.chdir(tmp_path)
    assert export_graph(store, "g").path == Path("g.jsonl")
    assert export_graph(store, "g", format="npy").path == Path("g.npy")


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"output": Path("x.bin")}, UsageError, "is not that of a format"),
        ({"k": 4}, UsageError, "has 3 neighbours a document, not 4"),
        ({"k": 0}, UsageError, "not 0"),
        ({"output": Path("nowhere/x.npy")}, DataError, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_said(
    store: Store,
    docs: Manifest,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
    error: type[Exception],
    problem: str,
) -> None:
    import_graph(store, file, docs, name="g")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=problem):
        export_graph(store, "g", **options)  # type: ignore[arg-type]


def test_a_file_is_not_overwritten_unasked(
    store: Store, docs: Manifest, file: Path, tmp_path: Path
) -> None:
    import_graph(store, file, docs, name="g")
    out = tmp_path / "kept.jsonl"
    out.write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        export_graph(store, "g", output=out)
    assert out.read_text() == "precious"


GOOD = lines(ROWS)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ([], "the file is empty"),
        ([*GOOD[:2], GOOD[2][:-3]], r"line 3: not valid JSON"),
        (["[1]"], "line 1: a JSON object was expected"),
        (['{"item_id": "a"}'], "line 1: no 'neighbors'"),
        (['{"id": "a", "neighbors": []}'], "line 1: no 'item_id'"),
        (['{"item_id": "a", "neighbors": "b"}'], "line 1: neighbors must be a list"),
        (['{"item_id": "a", "neighbors": [null]}'], "line 1: an id must be"),
        (['{"item_id": "a", "neighbors": ["z"]}'], "line 1: .* has no document 'z'"),
        (['{"item_id": "z", "neighbors": ["a"]}'], "line 1: .* has no document 'z'"),
        ([*GOOD, "", GOOD[1]], "'ü' is repeated, at lines 2 and 7"),
        (GOOD[:3], "2 of the 5 documents of docs have no line, the first is '7'"),
        (lines({key: [] for key in ROWS}), "no document has a neighbour"),
    ],
)
def test_a_file_that_is_no_graph_of_the_set_is_refused(
    store: Store, docs: Manifest, tmp_path: Path, text: list[str], problem: str
) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("\n".join(text), encoding="utf-8")
    with pytest.raises(DataError, match=problem) as caught:
        import_graph(store, path, docs)
    assert "broken.jsonl" in str(caught.value)
    assert store.artifacts("graph") == []
    assert store.unfinished() == []


def test_a_name_that_is_taken(store: Store, docs: Manifest, file: Path, tmp_path: Path) -> None:
    import_graph(store, file, docs, name="g")
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(reversed(GOOD)), encoding="utf-8")
    with pytest.raises(hypestore.NameTaken):
        import_graph(store, other, docs, name="g")
