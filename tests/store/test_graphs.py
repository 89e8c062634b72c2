"""Neighbour graphs on disk: written, checked, mapped, refused when damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypestore as hs

ROWS = np.array([[1, 2], [0, 3], [3, -1], [-1, -1], [0, 1], [6, 0], [5, 1]], dtype=np.int32)
HEADER_BYTES = 128


@pytest.fixture
def embeddings(store: hs.Store, make_embeddings: Callable[..., hs.Manifest]) -> hs.Manifest:
    return make_embeddings(store, len(ROWS))


@pytest.fixture
def draft(store: hs.Store, embeddings: hs.Manifest) -> Callable[..., hs.GraphDraft]:
    def begin(k: int = 2, **more: Any) -> hs.GraphDraft:
        inputs = {"metric": "l2", "builder": "exact", **more}
        return store.graph_draft(embeddings.id, "corpus-l2", inputs, k=k, name="near")

    return begin


@pytest.fixture
def graph(draft: Callable[..., hs.GraphDraft]) -> hs.Manifest:
    with draft() as begun:
        begun.write([ROWS[:3], ROWS[3:]])
        return begun.commit(stats={"seconds": {"building": 1.5}})


def test_a_graph_gives_back_what_went_in(
    store: hs.Store, embeddings: hs.Manifest, graph: hs.Manifest
) -> None:
    opened = store.graph("near")
    assert (opened.n, opened.k, opened.embeddings) == (7, 2, embeddings.id)
    assert opened.neighbours.dtype == np.int32
    np.testing.assert_array_equal(opened.neighbours, ROWS)
    assert not opened.neighbours.flags.writeable
    assert graph.parents == (embeddings.id,)
    assert graph.inputs == {"metric": "l2", "builder": "exact", "embeddings": embeddings.id, "k": 2}
    assert graph.stats == {"n_documents": 7, "n_edges": 11, "seconds": {"building": 1.5}}


def test_the_file_is_what_the_specification_says(store: hs.Store, graph: hs.Manifest) -> None:
    content = (store.path(graph) / "neighbours.npy").read_bytes()
    assert content.startswith(b"\x93NUMPY\x01\x00")
    length = int.from_bytes(content[8:10], "little")
    header = content[10 : 10 + length].decode()
    assert "'descr': '<i4'" in header
    assert "'fortran_order': False" in header
    assert "'shape': (7, 2)" in header
    assert content[10 + length :] == ROWS.astype("<i4").tobytes()
    np.testing.assert_array_equal(np.load(store.path(graph) / "neighbours.npy"), ROWS)


def test_the_first_neighbours_are_a_view(store: hs.Store, graph: hs.Manifest) -> None:
    opened = store.graph(graph.id)
    narrow = opened.first(1)
    assert (narrow.n, narrow.k, narrow.manifest) == (7, 1, graph)
    np.testing.assert_array_equal(narrow.neighbours, ROWS[:, :1])
    assert np.shares_memory(narrow.neighbours, opened.neighbours)
    for k in (0, 3):
        with pytest.raises(hs.InvalidContent, match="2 neighbours a document"):
            opened.first(k)


@pytest.mark.parametrize(
    ("row", "values", "problem"),
    [
        (4, [0, 7], "Document 4 has the neighbour 7, which is no document of 7"),
        (0, [-2, 1], "Document 0 has the neighbour -2, which is no document of 7"),
        (5, [0, 5], "Document 5 has the neighbour 5, which is the document itself"),
        (6, [-1, 2], "Document 6 has the neighbour 2, which is after a -1"),
        (1, [3, 3], "Document 1 has the neighbour 3, which is there twice"),
    ],
)
def test_what_is_no_graph_is_refused(
    draft: Callable[..., hs.GraphDraft], row: int, values: list[int], problem: str
) -> None:
    wrong = ROWS.copy()
    wrong[row] = values
    with draft() as begun:
        with pytest.raises(hs.InvalidContent, match=problem):
            begun.write([wrong[:3], wrong[3:]])
        assert not list(begun.path.glob("*.npy"))
        begun.write([ROWS])
        begun.commit()


def test_every_document_has_a_row(draft: Callable[..., hs.GraphDraft]) -> None:
    with draft() as begun:
        for blocks in ([ROWS[:5]], [ROWS, ROWS[:1]]):
            with pytest.raises((hs.IncompleteWork, hs.InvalidContent)):
                begun.write(blocks)
        with pytest.raises(hs.InvalidContent, match=r"\[n, 2\]"):
            begun.write([ROWS[:, :1]])
        with pytest.raises(hs.IncompleteWork, match="write them"):
            begun.commit()


def test_made_once(draft: Callable[..., hs.GraphDraft], graph: hs.Manifest) -> None:
    with draft() as again:
        assert again.existing == graph
        with pytest.raises(hs.IncompleteWork, match="finished"):
            again.write([ROWS])
        assert again.commit() == graph
    assert draft(k=3).id != graph.id


def test_a_graph_without_neighbours_is_none(draft: Callable[..., hs.GraphDraft]) -> None:
    with pytest.raises(hs.InvalidContent, match="at least 1"):
        draft(k=0)


def test_a_set_without_documents_has_a_graph_without_rows(
    store: hs.Store, make_embeddings: Callable[..., hs.Manifest]
) -> None:
    empty = make_embeddings(store, 0)
    with store.graph_draft(empty.id, "empty", {}, k=3) as begun:
        begun.write([])
        begun.commit()
    assert store.graph(begun.id).neighbours.shape == (0, 3)


def damage_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def damage_longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(4))


def damage_gone(path: Path) -> None:
    path.unlink()


def damage_version(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:6] + b"\x02" + content[7:])


def damage_type(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"<i4", b"<u4"))


def damage_order(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"False", b"True "))


def damage_shape(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"(7, 2)", b"(2, 7)"))


def damage_magic(path: Path) -> None:
    path.write_bytes(b"NUMPY___" + path.read_bytes()[8:])


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncated,
        damage_longer,
        damage_gone,
        damage_version,
        damage_type,
        damage_order,
        damage_shape,
        damage_magic,
    ],
)
def test_a_damaged_file_is_not_opened(
    store: hs.Store, graph: hs.Manifest, damage: Callable[[Path], None]
) -> None:
    path = store.path(graph) / "neighbours.npy"
    damage(path)
    with pytest.raises(hs.DamagedArtifact, match=r"neighbours\.npy"):
        store.graph("near")
    assert not store.doctor(checksums=True).healthy


def test_a_manifest_of_another_shape_is_not_believed(store: hs.Store, graph: hs.Manifest) -> None:
    manifest = store.path(graph) / "manifest.json"
    content = json.loads(manifest.read_text())
    content["stats"]["n_documents"] = 6
    manifest.write_text(json.dumps({**content, "provenance": {}}))  # as before 0.4, without a seal
    with pytest.raises(hs.DamagedArtifact, match=r"\(6, 2\)"):
        store.graph("near")


def test_the_doctor_and_the_catalog_know_it(store: hs.Store, graph: hs.Manifest) -> None:
    assert store.doctor(checksums=True).findings == ()
    actual = store.catalog.query("SELECT id, kind FROM artifacts WHERE name = 'near'")
    assert actual.rows == ((graph.id, "graph"),)
    path = store.path(graph) / "neighbours.npy"
    content = bytearray(path.read_bytes())
    content[-4] ^= 1  # the size stays
    path.write_bytes(content)
    (finding,) = store.doctor(checksums=True).findings
    assert (finding.severity, finding.artifact) == ("error", graph.id)


def test_its_embeddings_stay_as_long_as_it_does(
    store: hs.Store, embeddings: hs.Manifest, graph: hs.Manifest
) -> None:
    with pytest.raises(hs.ArtifactInUse, match="graph near"):
        store.remove(embeddings.id)
    assert store.remove(embeddings.id, force=True) == [graph.id, embeddings.id]


def test_a_large_graph_is_mapped_and_not_read(
    store: hs.Store, graph: hs.Manifest, tmp_path: Path
) -> None:
    """8.8 million documents, 3.5 GB, in a file without content: a copy would take seconds."""
    from hypestore.graphs.stored import open_graph

    shape = (8_841_823, 100)
    path = tmp_path / "neighbours.npy"
    with path.open("wb") as out:
        header = {"descr": "<i4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        out.truncate(HEADER_BYTES + 4 * shape[0] * shape[1])
    record = graph.files[0].model_copy(update={"size_bytes": path.stat().st_size})
    inputs, stats = {**graph.inputs, "k": 100}, {**graph.stats, "n_documents": shape[0]}
    large = graph.model_copy(update={"files": (record,), "inputs": inputs, "stats": stats})
    before = _resident_bytes()
    opened = open_graph(tmp_path, large)
    assert opened.neighbours.shape == shape
    assert opened.first(10).neighbours[8_000_000].tolist() == [0] * 10
    assert _resident_bytes() - before < 50e6


def _resident_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("no /proc here")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
