"""Search over a real store with a tiny trained model."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

import hypencli
from hypencli.data.corpus import open_corpus
from hypencli.data.queries import QuerySet, open_queries
from hypencli.errors import DataError, ModelError, UsageError
from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.models import ModelSource
from hypencli.ops.search.options import EngineSpec, Output, Scoring, SearchOptions, Target
from hypencli.ops.search.run import plan_run, search
from hypencli.ops.search.target import SearchTarget
from hypencli.ops.transfer.embeddings import ImportOptions, export_embeddings, import_embeddings
from hypestore import Store


@pytest.fixture
def store(study: Path) -> Store:
    return Store.open(study)


@pytest.fixture
def queries(tiny_collection: Path) -> QuerySet:
    return open_queries(tiny_collection / "queries.jsonl")


def rows(store: Store, run: str) -> pa.Table:
    return store.run(run).table()


@pytest.mark.parametrize("model", ["hyper", "plain"])
def test_batches_of_queries_and_shards_of_documents_change_nothing(
    store: Store, queries: QuerySet, tiny_collection: Path, tmp_path: Path, model: str
) -> None:
    """The same run of the same vectors, to the last bit, for every batch size and shard layout."""
    expected = rows(store, f"{model}-run")
    options = SearchOptions(k=20, target=Target(embeddings=f"{model}-docs"))
    for batch in (1, 5):
        run = store.find("run", {"model": store.get(model).id})[0]
        store.remove(run.id, force=True)
        again = search(
            store,
            queries,
            ModelSource(model),
            replace(options, scoring=replace(options.scoring, batch_queries=batch)),
        )
        assert rows(store, again.run).equals(expected)
    vectors = tmp_path / "vectors.npy"
    export_embeddings(store, f"{model}-docs", vectors)
    stored_alike = store.embeddings(f"{model}-docs").manifest.inputs["storage_dtype"]
    ids = ImportOptions(
        ids=vectors.with_name("vectors.ids.txt"),
        corpus=str(tiny_collection / "corpus.jsonl"),
        storage_dtype=str(stored_alike),
        shard_rows=7,
        name="small",
    )
    import_embeddings(store, vectors, ModelSource(model), ids)
    assert len(store.embeddings("small").shards) == 18
    cut = search(store, queries, ModelSource(model), replace(options, target=Target("small")))
    assert rows(store, cut.run).equals(expected)


@pytest.mark.parametrize("model", ["hyper", "plain"])
def test_a_corpus_encoded_in_other_shards_has_nearly_the_same_vectors(
    store: Store, queries: QuerySet, tiny_collection: Path, model: str
) -> None:
    """The batches are others, and a processor may sum in another order."""
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    whole = store.embeddings(f"{model}-docs")
    dtype = str(whole.manifest.inputs["dtype"])
    again = EncodeOptions(shard_rows=7, limit=119, dtype=dtype, name="small")
    small = store.embeddings(encode(store, corpus, ModelSource(model), again).embeddings)
    assert len(small.shards) == 17
    vectors, expected = (one.vectors(range(119)).astype(np.float32) for one in (small, whole))
    # One step of float16; in bfloat16, which has 8 bits, a sum in another order shows more.
    np.testing.assert_allclose(vectors, expected, atol=2e-3 if dtype == "float32" else 2e-2)


@pytest.mark.parametrize("model", ["hyper", "plain"])
def test_equals_a_search_by_hand(store: Store, queries: QuerySet, model: str) -> None:
    embeddings = store.embeddings(f"{model}-docs")
    vectors = np.concatenate([block for _, block in embeddings.blocks()]).astype(np.float32)
    ids = embeddings.ids(np.arange(embeddings.n))
    loaded = hypencli.load(store.path(store.get(model)))
    scores = loaded.encode_queries([query.text for query in queries])(vectors)
    results = store.run(f"{model}-run").results()
    for query, row in zip(queries, scores, strict=True):
        order = sorted(range(len(ids)), key=lambda i: (-row[i], ids[i]))[:20]
        actual = results[query.query_id]
        np.testing.assert_allclose([score for _, score in actual], row[order], atol=1e-5)
        assert {doc_id for doc_id, _ in actual} == {ids[i] for i in order}


def test_the_trained_q_nets_find_their_topics(store: Store, tiny_collection: Path) -> None:
    """Untrained order would put one document in six on the topic at random."""
    evaluation = store.aggregates(store.evaluations(store.get("hyper-run").id)[0].id)
    assert evaluation["P@10"] > 0.5


def test_the_same_search_is_done_once(store: Store, queries: QuerySet) -> None:
    again = search(
        store,
        queries,
        ModelSource("hyper"),
        SearchOptions(k=20, target=Target(embeddings="hyper-docs")),
    )
    assert again.existing
    assert again.run == store.get("hyper-run").id


def test_k_larger_than_the_corpus(store: Store, queries: QuerySet) -> None:
    searched = search(store, queries, ModelSource("hyper"), SearchOptions(k=5000))
    assert searched.n_results == 12 * 120


def test_the_query_itself_can_be_left_out(store: Store) -> None:
    from hypencli.data.queries import query_set
    from hypencli.records import Query

    asked = query_set("likes", [Query("d3", "river water"), Query("d9", "moon and star")])
    options = SearchOptions(k=120, exclude_same_id=True)
    results = store.run(search(store, asked, ModelSource("hyper"), options).run).results()
    assert len(results["d3"]) == 119
    assert "d3" not in dict(results["d3"])
    assert "d3" in dict(results["d9"])


def test_time_is_recorded_apart(store: Store) -> None:
    seconds = store.get("hyper-run").stats["seconds"]
    assert isinstance(seconds, dict)
    assert set(seconds) == {"query_encoding", "selection", "scoring", "topk", "writing", "total"}
    assert sum(v for k, v in seconds.items() if k != "total") == pytest.approx(seconds["total"])


def test_lineage_reaches_the_model(store: Store) -> None:
    run = store.get("hyper-run")
    assert {one.name for one in store.parents_of(run.id)} == {"hyper", "hyper-docs"}


def test_embeddings_of_another_encoder_are_refused(store: Store, queries: QuerySet) -> None:
    with pytest.raises(UsageError, match="another passage encoder") as caught:
        search(
            store,
            queries,
            ModelSource("hyper"),
            SearchOptions(target=Target(embeddings="plain-docs")),
        )
    assert "hype encode" in str(caught.value.hint)


def test_a_corpus_that_is_not_encoded_is_refused(store: Store, queries: QuerySet) -> None:
    with pytest.raises(UsageError, match="No embedding set") as caught:
        search(
            store, queries, ModelSource("hyper"), SearchOptions(target=Target(corpus="beir/none"))
        )
    assert "hype encode" in str(caught.value.hint)


def test_several_fitting_sets_are_listed(
    store: Store, queries: QuerySet, tiny_collection: Path
) -> None:
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    encode(store, corpus, ModelSource("hyper"), EncodeOptions(limit=50, name="fifty"))
    with pytest.raises(UsageError, match="Several embedding sets"):
        search(store, queries, ModelSource("hyper"), SearchOptions())


def test_no_queries_named_and_none_known(store: Store) -> None:
    with pytest.raises(UsageError, match="No queries: the corpus"):
        search(store, None, ModelSource("hyper"), SearchOptions())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "empty"),
        (b'{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', "a"),
    ],
    ids=["empty", "duplicated id"],
)
def test_bad_query_sets_are_refused(text: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        open_queries("-", stdin=io.BytesIO(text))


def test_bfloat16_scores_are_near_and_recorded(store: Store, queries: QuerySet) -> None:
    options = SearchOptions(k=20, scoring=Scoring(dtype="bfloat16"), output=Output(name="coarse"))
    coarse = store.run(search(store, queries, ModelSource("hyper"), options).run)
    assert coarse.manifest.inputs["dtype"] == "bfloat16"
    exact = store.run("hyper-run").results()
    shared = [
        len({d for d, _ in ranking} & {d for d, _ in exact[query_id]}) / 20
        for query_id, ranking in coarse.results().items()
    ]
    assert np.mean(shared) > 0.8


@pytest.fixture
def nested(store: Store, tiny_backbone: Path, tiny_collection: Path, tmp_path: Path) -> ModelSource:
    """A model whose q-nets are 8, 16 or 32 wide, and its embeddings of the collection."""
    spec = ModelSpec(
        backbone=str(tiny_backbone),
        pooling="mean",
        converter="matryoshka",
        converter_options={"hidden_layers": 2, "widths": [8, 16]},
    )
    folder = tmp_path / "nested"
    build_dual_encoder(spec).save_pretrained(folder, tokenizer=load_tokenizer(str(tiny_backbone)))
    source = ModelSource(str(folder), label="nested")
    encode(store, open_corpus(tiny_collection / "corpus.jsonl"), source, EncodeOptions())
    return source


def test_a_narrow_search_is_the_same_for_every_batch_size(
    store: Store, queries: QuerySet, nested: ModelSource
) -> None:
    options = SearchOptions(k=20, scoring=Scoring(width=8))
    collected = []
    for batch in (None, 1, 5):
        searched = search(
            store,
            queries,
            nested,
            replace(options, scoring=replace(options.scoring, batch_queries=batch)),
        )
        collected.append(rows(store, searched.run))
        store.remove(searched.run, force=True)
    assert collected[1].equals(collected[0])
    assert collected[2].equals(collected[0])


def test_a_narrow_search_scores_with_the_first_of_the_full_weights(
    store: Store, queries: QuerySet, nested: ModelSource
) -> None:
    searched = search(store, queries, nested, SearchOptions(k=120, scoring=Scoring(width=8)))
    embeddings = store.embeddings(searched.embeddings)
    vectors = np.concatenate([block for _, block in embeddings.blocks()]).astype(np.float32)
    model = hypencli.load(str(nested.name))
    results = store.run(searched.run).results()
    for query in queries:
        asked = model.tokenizer(query.text, return_tensors="pt")
        with torch.no_grad():
            nets = model.dual.query_encoder(asked["input_ids"]).representation
            scores = nets.narrow(8).score(torch.from_numpy(vectors))[0].numpy()
        expected = dict(zip(embeddings.ids(np.arange(embeddings.n)), scores.tolist(), strict=True))
        got = dict(results[query.query_id])
        assert got == pytest.approx(expected, abs=1e-5)
    by_name = model.encode_queries([query.text for query in queries], width=8)(vectors)
    assert by_name[-1] == pytest.approx(scores, abs=1e-5)


def test_a_width_is_part_of_a_run_only_where_it_is_given(
    store: Store, queries: QuerySet, nested: ModelSource
) -> None:
    searched = {
        width: search(store, queries, nested, SearchOptions(k=20, scoring=Scoring(width=width)))
        for width in (None, 8, 16, 32)
    }
    assert len({one.run for one in searched.values()}) == 4
    assert [one.width for one in searched.values()] == [None, 8, 16, 32]
    assert "width" not in store.get(searched[None].run).inputs
    assert store.get(searched[8].run).inputs["width"] == 8
    assert rows(store, searched[32].run).equals(rows(store, searched[None].run))
    again = search(store, queries, nested, SearchOptions(k=20, scoring=Scoring(width=8)))
    assert (again.existing, again.width) == (True, 8)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nested", r"no q-nets of width 9[\s\S]*widths: 8, 16, 32\."),
        ("hyper", "one width only"),
        ("plain", "bi-encoder"),
    ],
)
def test_a_width_that_the_model_lacks_is_refused(
    store: Store, queries: QuerySet, nested: ModelSource, model: str, message: str
) -> None:
    source = nested if model == "nested" else ModelSource(model)
    before = len(store.artifacts("run"))
    with pytest.raises(ModelError, match=message):
        search(store, queries, source, SearchOptions(k=5, scoring=Scoring(width=9)))
    assert len(store.artifacts("run")) == before
    assert store.doctor().findings == ()


def test_a_plan_finds_the_run_that_its_search_makes(store: Store, queries: QuerySet) -> None:
    target = SearchTarget(store, store.get("hyper"), store.get("hyper-docs"))
    options = SearchOptions(k=7, target=Target(embeddings=target.embeddings.id))
    planned = plan_run(target, queries, options)
    assert planned.existing(store) is None
    done = search(store, queries, ModelSource("hyper"), options)
    existing = planned.existing(store)
    assert existing is not None
    assert (existing.id, existing.inputs) == (done.run, planned.inputs)
    unread = plan_run(target, Unread(queries.id), options).existing(store)
    assert unread is not None
    assert unread.id == done.run
    others = replace(queries, fingerprint="0" * 64)
    assert plan_run(target, others, options).existing(store) is None
    checked = replace(options, engine=EngineSpec("guided"), output=Output(check=3))
    assert plan_run(target, queries, checked).existing(store) is None


@dataclass(frozen=True)
class Unread:
    """A query set that nobody has read."""

    id: str
    fingerprint: None = None
