"""Encoded items into the store and out of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypencli.data.exchange import EncodedItem, read_item_stream, write_item_stream
from hypencli.data.queries import open_queries
from hypencli.data.reading.base import ContentChanged
from hypencli.errors import DataError, ModelError, UsageError
from hypencli.ops.models import ModelSource
from hypencli.ops.search.run import SearchOptions, search
from hypencli.ops.transfer.embeddings import (
    ImportedEmbeddings,
    ImportOptions,
    export_embeddings,
    import_embeddings,
)
from hypestore import InvalidContent, Store


@pytest.fixture
def store(study: Path) -> Store:
    return Store.open(study)


@pytest.fixture
def stream(store: Store, tmp_path: Path) -> Path:
    """The documents of the study as a published stream."""
    return export_embeddings(store, "hyper-docs", tmp_path / "out.docs").path


def take(store: Store, path: Path, model: str = "hyper", **options: Any) -> ImportedEmbeddings:
    return import_embeddings(store, path, ModelSource(model), ImportOptions(**options))


def write(path: Path, items: list[EncodedItem]) -> Path:
    with path.open("wb") as out:
        write_item_stream(items, out)
    return path


def test_a_stream_comes_back_as_the_set_that_it_was(store: Store, stream: Path) -> None:
    done = take(store, stream, storage_dtype="float16", shard_rows=50, name="back")
    assert (done.n_documents, done.dim, done.existing, done.has_text) == (120, 32, False, True)
    own, back = store.embeddings("hyper-docs"), store.embeddings("back")
    everything = range(120)
    assert len(back.shards) == 3
    assert back.ids(everything) == own.ids(everything)
    assert back.texts(everything) == own.texts(everything)
    np.testing.assert_array_equal(back.vectors(everything), own.vectors(everything))
    assert store.doctor(checksums=True).healthy


def test_a_search_finds_it_by_its_model_and_ranks_alike(
    store: Store, stream: Path, tiny_collection: Path
) -> None:
    """From texts that the import brought back, after all that came from the set was removed."""
    wanted = store.run("hyper-run").results()
    store.remove("hyper-docs", force=True)
    taken = take(store, stream, corpus=str(tiny_collection / "corpus.jsonl"))
    queries = open_queries(tiny_collection / "queries.jsonl")
    done = search(store, queries, ModelSource("hyper"), SearchOptions(k=20))
    assert done.embeddings == taken.embeddings
    assert done.corpus == f"file:{tiny_collection.name}/corpus.jsonl"
    assert store.run(done.run).results() == wanted


def test_what_is_known_is_recorded(store: Store, stream: Path, tiny_collection: Path) -> None:
    done = take(store, stream, corpus=str(tiny_collection), check=4)
    manifest = store.get(done.embeddings)
    model = store.get("hyper", kind="model")
    assert manifest.parents == (model.id,)
    assert manifest.inputs["passage_fingerprint"] == model.stats["passage_fingerprint"]
    assert manifest.inputs["source_sha256"] == hashlib.sha256(stream.read_bytes()).hexdigest()
    assert manifest.inputs["corpus"] == done.corpus == f"folder:{tiny_collection.name}"
    assert manifest.stats["source"] == "out.docs"
    assert manifest.stats["queries"] == str(tiny_collection)
    assert (manifest.stats["checked"], done.checked) == (4, 4)
    assert take(store, stream, corpus="a-name").corpus == "a-name"


def test_what_is_there_already_is_checked_when_that_is_asked(store: Store, stream: Path) -> None:
    first = take(store, stream)
    assert (first.existing, first.checked) == (False, 0)
    again = take(store, stream, check=3)
    assert (again.existing, again.checked) == (True, 3)
    assert take(store, stream).corpus == "file:out.docs"


def test_the_same_file_again_does_nothing(store: Store, stream: Path) -> None:
    first = take(store, stream)
    again = take(store, stream)
    assert (first.existing, again.existing) == (False, True)
    assert again.embeddings == first.embeddings
    assert take(store, stream, storage_dtype="float16").embeddings != first.embeddings


def test_an_interrupted_import_goes_on(
    store: Store, stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypestore import EmbeddingWork

    written: list[int] = []
    real = EmbeddingWork.write_shard

    def counted(self: EmbeddingWork, shard: int, *rest: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(shard)
        real(self, shard, *rest)

    monkeypatch.setattr(EmbeddingWork, "write_shard", counted)
    with pytest.raises(KeyboardInterrupt):
        take(store, stream, shard_rows=50)
    monkeypatch.setattr(EmbeddingWork, "write_shard", real)
    assert written == [0, 1]
    assert take(store, stream, shard_rows=50).n_documents == 120


def test_other_shards_are_the_same_set_and_unfinished_ones_go_on(
    store: Store, stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypestore import EmbeddingWork

    real = EmbeddingWork.write_shard

    def stopped(self: EmbeddingWork, shard: int, *rest: Any) -> None:
        if shard == 1:
            raise KeyboardInterrupt
        real(self, shard, *rest)

    monkeypatch.setattr(EmbeddingWork, "write_shard", stopped)
    with pytest.raises(KeyboardInterrupt):
        take(store, stream, shard_rows=50)
    monkeypatch.setattr(EmbeddingWork, "write_shard", real)
    done = take(store, stream, shard_rows=7)
    assert [shard.n for shard in store.embeddings(done.embeddings).shards] == [50, 50, 20]
    again = take(store, stream, shard_rows=9)
    assert (again.existing, again.embeddings) == (True, done.embeddings)


def test_a_file_that_is_changed_while_it_is_read_is_refused(
    store: Store, stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypestore import EmbeddingWork

    real = EmbeddingWork.write_shard

    def changing(self: EmbeddingWork, shard: int, *rest: Any) -> None:
        real(self, shard, *rest)
        with stream.open("ab") as out:
            write_item_stream([EncodedItem("more", np.zeros(32, np.float32), "t")], out)

    monkeypatch.setattr(EmbeddingWork, "write_shard", changing)
    with pytest.raises(ContentChanged, match=r"out\.docs was changed while it was read"):
        take(store, stream)


def test_an_array_that_is_changed_and_changed_back_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypestore import EmbeddingWork

    path = export_embeddings(store, "hyper-docs", tmp_path / "x.npy").path
    whole, real = path.read_bytes(), EmbeddingWork.write_shard

    def changing(self: EmbeddingWork, shard: int, *rest: Any) -> None:
        with path.open("r+b") as out:  # the last value, while the first of three shards is written
            out.seek(len(whole) - 2)
            out.write(whole[-2:] if shard == 2 else b"\0\0")
        real(self, shard, *rest)

    monkeypatch.setattr(EmbeddingWork, "write_shard", changing)
    with pytest.raises(ContentChanged, match=r"x\.npy was changed while it was read"):
        take(store, path, ids=tmp_path / "x.ids.txt", shard_rows=40)
    assert path.read_bytes() == whole


def test_an_array_by_columns_is_the_same_set(store: Store, tmp_path: Path) -> None:
    path = export_embeddings(store, "hyper-docs", tmp_path / "x.npy").path
    vectors = np.load(path)
    np.save(tmp_path / "columns.npy", np.asfortranarray(vectors))
    done = take(store, tmp_path / "columns.npy", ids=tmp_path / "x.ids.txt", shard_rows=50)
    np.testing.assert_array_equal(store.embeddings(done.embeddings).vectors(range(120)), vectors)


def test_vectors_of_another_model_are_told_by_a_check(store: Store, stream: Path) -> None:
    before = [manifest.id for manifest in store.artifacts()]
    with pytest.raises(ModelError, match=r"'d0' with a cosine of") as caught:
        take(store, stream, "plain", check=5)
    assert "`model=MODEL`" in str(caught.value.hint)
    assert [manifest.id for manifest in store.artifacts()] == before
    assert store.unfinished() == []
    assert take(store, stream, "plain").checked == 0  # what the user says is believed


def test_a_vector_that_is_not_finite_does_not_pass_a_check(store: Store, stream: Path) -> None:
    items = list(read_item_stream(stream))
    items[1] = items[1]._replace(vector=np.full(32, np.nan, np.float32))
    broken = write(stream.with_name("nan.docs"), items)
    with pytest.raises(ModelError, match="'d1'"):
        take(store, broken, check=2)
    with pytest.raises(DataError, match="the vector of document 'd1' has nan"):
        take(store, broken)


def test_vectors_of_another_width_are_refused(store: Store, tmp_path: Path) -> None:
    narrow = write(tmp_path / "n.docs", [EncodedItem("d0", np.zeros(8, np.float32), "t")])
    with pytest.raises(UsageError, match="have width 8, those of model hyper 32"):
        take(store, narrow)


def test_an_id_that_comes_twice_is_refused(store: Store, stream: Path) -> None:
    items = list(read_item_stream(stream))
    twice = write(stream.with_name("twice.docs"), [*items, items[7]])
    with pytest.raises(InvalidContent, match="'d7' occurs more than once"):
        take(store, twice, shard_rows=50)


def test_a_stream_that_breaks_off_makes_no_set(store: Store, stream: Path) -> None:
    stream.write_bytes(stream.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"out\.docs, byte \d+"):
        take(store, stream)
    assert len(store.artifacts("embeddings")) == 2


@pytest.mark.parametrize("model", ["hyper", "plain"])
def test_an_array_goes_out_with_its_ids_and_comes_back(
    store: Store, tmp_path: Path, model: str
) -> None:
    done = export_embeddings(store, f"{model}-docs", tmp_path / "x.npy")
    assert done.ids == tmp_path / "x.ids.txt"
    own = store.embeddings(f"{model}-docs")
    vectors = np.load(done.path)
    assert vectors.dtype == np.float16 == own.dtype
    np.testing.assert_array_equal(vectors, own.vectors(range(120)))
    assert done.ids.read_text(encoding="utf-8").split() == own.ids(range(120))
    back = take(store, done.path, model, ids=done.ids, storage_dtype="float16")
    assert not back.has_text
    opened = store.embeddings(back.embeddings)
    assert opened.ids(range(120)) == own.ids(range(120))
    np.testing.assert_array_equal(opened.vectors(range(120)), own.vectors(range(120)))
    with pytest.raises(UsageError, match="no texts to encode"):
        take(store, done.path, model, ids=done.ids, check=1)


def test_an_array_with_its_corpus_has_texts(
    store: Store, tmp_path: Path, tiny_collection: Path
) -> None:
    path = export_embeddings(store, "hyper-docs", tmp_path / "x.npy").path
    done = take(store, path, ids=tiny_collection / "corpus.jsonl", check=3)
    assert (done.has_text, done.checked) == (True, 3)
    assert not take(store, path, ids=tiny_collection / "corpus.jsonl", keep_text=False).has_text


def test_nothing_is_overwritten_unasked(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.ids.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match=r"x\.ids\.txt exists"):
        export_embeddings(store, "hyper-docs", tmp_path / "x.npy")
    assert not (tmp_path / "x.npy").exists()
    export_embeddings(store, "hyper-docs", tmp_path / "x.npy", overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"study", "x.npy", "x.ids.txt"}


def test_a_set_without_texts_is_no_stream(store: Store, tmp_path: Path) -> None:
    path = export_embeddings(store, "hyper-docs", tmp_path / "x.npy")
    bare = take(store, path.path, ids=path.ids)
    with pytest.raises(UsageError, match="has no texts") as caught:
        export_embeddings(store, bare.embeddings, tmp_path / "x.docs")
    assert "FILE.npy" in str(caught.value.hint)


def test_a_folder_that_is_not_there_is_a_data_error(store: Store, tmp_path: Path) -> None:
    for name in ("x.npy", "x.docs"):
        with pytest.raises(DataError, match="cannot be written"):
            export_embeddings(store, "hyper-docs", tmp_path / "none" / name)
