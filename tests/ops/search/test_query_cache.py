"""Encoded queries are kept once for a model and a query set, and equal those encoded anew."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hypestore as hs
from hypencli.data.queries import QuerySet, query_set
from hypencli.models.encoding import QueryStates
from hypencli.ops.models import LoadedModel, ModelSource, find_model, load_model
from hypencli.ops.search import query_cache, scoring
from hypencli.ops.search.measure_calibration import CalibrateOptions, calibrate
from hypencli.ops.search.options import Scoring, SearchOptions, Target
from hypencli.ops.search.query_cache import kept_queries
from hypencli.ops.search.run import search
from hypencli.records import Query

TEXTS = [
    f"what is {word} of the river {i}" for i in range(9) for word in ("star", "bread and oven")
]
SCORING = Scoring(query_max_length=16)


@pytest.fixture
def store(study: Path) -> hs.Store:
    return hs.Store.open(study)


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each encoding had."""
    counts: list[int] = []
    encode = query_cache.encoded_queries

    def counted(loaded: LoadedModel, texts: list[str], scoring: Scoring) -> QueryStates:
        counts.append(len(texts))
        return encode(loaded, texts, scoring)

    monkeypatch.setattr(query_cache, "encoded_queries", counted)
    return counts


def loaded_from(store: hs.Store, name: str) -> LoadedModel:
    return load_model(store, find_model(store, ModelSource(name)), device=torch.device("cpu"))


def caches(store: hs.Store) -> list[str]:
    return [one.name for one in store.caches() if one.name.startswith("queries-")]


@pytest.mark.parametrize("model", ["hyper", "plain"])
def test_kept_queries_equal_those_encoded_anew(
    store: hs.Store, encodings: list[int], model: str
) -> None:
    loaded = loaded_from(store, model)
    anew = scoring.encoded_queries(loaded, TEXTS, SCORING)
    first, second = (kept_queries(store, loaded, TEXTS, SCORING) for _ in range(2))
    assert encodings == [len(TEXTS)]
    assert second.seconds == first.seconds > 0
    for kept in (first.states, second.states):
        assert kept.n_cut == anew.n_cut
        assert len(kept) == len(TEXTS)
        assert all(map(torch.equal, kept._states, anew._states))
        if kept.has_q_nets:
            nets = zip(kept.q_nets(), anew.q_nets(), strict=True)
            assert all(map(torch.equal, one.matrices, other.matrices) for one, other in nets)
        else:
            assert torch.equal(kept.vectors(), anew.vectors())


def test_another_set_length_model_or_number_of_threads_is_encoded_anew(
    store: hs.Store, encodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    hyper, plain = loaded_from(store, "hyper"), loaded_from(store, "plain")
    joined = [TEXTS[0] + TEXTS[1], "", *TEXTS[2:]]
    split = [TEXTS[0], TEXTS[1], *TEXTS[2:]]
    kept_queries(store, hyper, split, SCORING)
    kept_queries(store, hyper, joined, SCORING)
    kept_queries(store, hyper, split[::-1], SCORING)
    kept_queries(store, hyper, split, Scoring(query_max_length=17))
    kept_queries(store, plain, split, SCORING)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    kept_queries(store, hyper, split, SCORING)
    assert encodings == [len(TEXTS)] * 6
    assert len(caches(store)) == 6


def test_few_queries_and_large_sets_are_not_kept(
    store: hs.Store, encodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = loaded_from(store, "hyper")
    few = TEXTS[: query_cache.LEAST_QUERIES - 1]
    kept_queries(store, loaded, few, SCORING)
    monkeypatch.setattr(query_cache, "MOST_BYTES", 1_000)
    states = kept_queries(store, loaded, TEXTS, SCORING).states
    assert states.n_bytes > 1_000
    assert caches(store) == []
    assert encodings == [len(few), len(TEXTS)]


def test_the_least_recently_used_sets_make_room(
    store: hs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = loaded_from(store, "plain")
    kept_queries(store, loaded, TEXTS, SCORING)
    first = caches(store)
    monkeypatch.setattr(query_cache, "MOST_BYTES_OF_ALL", store.caches()[-1].size_bytes + 100)
    kept_queries(store, loaded, TEXTS[::-1], SCORING)
    assert len(caches(store)) == 1
    assert caches(store) != first


def test_a_store_that_cannot_be_written_keeps_nothing(
    store: hs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> Path:
        raise hs.StoreNotWritable("read-only")

    loaded = loaded_from(store, "hyper")
    monkeypatch.setattr(store, "cached", refuse)
    assert len(kept_queries(store, loaded, TEXTS, SCORING).states) == len(TEXTS)


def test_search_and_calibration_encode_a_set_once(store: hs.Store, encodings: list[int]) -> None:
    queries: QuerySet = query_set("many", [Query(f"q{i}", text) for i, text in enumerate(TEXTS)])
    target = Target(embeddings="hyper-docs")
    for k in (3, 5):
        search(store, queries, ModelSource("hyper"), SearchOptions(k=k, target=target))
    options = CalibrateOptions(n_queries=4, depths=(3,), target=target)
    calibrate(store, queries, ModelSource("hyper"), options)
    assert encodings == [len(TEXTS)]


DAMAGE = {
    "fewer queries": ("offsets.npy", np.array([0, 3, 9])),
    "not from zero": ("offsets.npy", np.arange(1, len(TEXTS) + 2)),
    "not rising": ("offsets.npy", np.array([0, *[9] * (len(TEXTS) - 1), 9])),
    "other type": ("states.npy", np.zeros((5, 32), dtype=np.float64)),
    "other width": ("states.npy", np.zeros((5, 31), dtype=np.float32)),
    "objects": ("states.npy", np.array([{"a": 1}], dtype=object)),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_states_are_refused(store: hs.Store, tmp_path: Path, case: str) -> None:
    """The record of a cache finds changed files; this is what stands behind it."""
    loaded = loaded_from(store, "hyper")
    kept_queries(store, loaded, TEXTS, SCORING)
    folder = Path(shutil.copytree(store.caches()[-1].path, tmp_path / "copy"))
    file, content = DAMAGE[case]
    (folder / file).chmod(0o600)
    np.save(folder / file, content)
    with pytest.raises(hs.DamagedArtifact, match="damaged") as refused:
        query_cache._read(folder, loaded, len(TEXTS), SCORING)
    assert "rm -r" in str(refused.value.hint)
