"""Which arithmetic an exact search scans in, and what a run says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from hypencli.data.queries import QuerySet, open_queries
from hypencli.engine.certified import FirstPassOptions, SurrogateOptions
from hypencli.engine.registry.entry import SearchRequest
from hypencli.engine.registry.exact import EXACT, choose_first_pass
from hypencli.errors import UsageError
from hypencli.ops.models import ModelSource
from hypencli.ops.search.options import EngineSpec, Scoring, SearchOptions
from hypencli.ops.search.run import search
from hypencli.ops.search.scan import speed_ratios
from hypestore import Store

HYPER = ModelSource("hyper")
LARGE, DIM = 1_000_000, 24


@pytest.fixture
def store(study: Path) -> Store:
    return Store.open(study)


@pytest.fixture
def queries(tiny_collection: Path) -> QuerySet:
    return open_queries(tiny_collection / "queries.jsonl")


def remembered(store: Store) -> list[Path]:
    return sorted(store.root.glob("cache/scan-speed-*/speed.json"))


def set_speed(store: Store, **documents_per_second: float) -> None:
    """What was measured of q-nets of this width, as if the machine were another."""
    speed_ratios(store, DIM, DIM)
    (path,) = remembered(store)
    measured = json.loads(path.read_text())
    measured["documents_per_second"] = documents_per_second
    path.write_text(json.dumps(measured))


def first_pass(
    store: Store, n: int = LARGE, *, device: str = "cpu", request: Any = None, **options: Any
) -> FirstPassOptions | None:
    """The first pass over a corpus of so many documents."""

    @dataclass(frozen=True)
    class Context:
        corpus = SimpleNamespace(n=n, dim=DIM)
        device: torch.device
        request: SearchRequest

        def speed_ratios(self) -> dict[str, float]:
            return speed_ratios(store, DIM, DIM)

    asked = SearchRequest(**{"k": 1000, "q_nets": True, **(request or {})})
    context = cast(Any, Context(torch.device(device), asked))
    return choose_first_pass(EXACT.parse(options), context)


def chosen(store: Store, n: int = LARGE, *, scan: str = "auto", **request: Any) -> Any:
    """The arithmetic of the first pass, and whether surrogates come before it."""
    chosen = first_pass(store, n, scan=scan, request=request)
    return None if chosen is None else (chosen.dtype, chosen.surrogate is not None)


def test_the_machine_is_measured_once_a_width(store: Store) -> None:
    ratios = speed_ratios(store, DIM, DIM)
    assert set(ratios) == {"int8", "bfloat16"}
    assert min(ratios.values()) >= 0
    (path,) = remembered(store)
    written = path.stat().st_mtime_ns
    assert speed_ratios(store, DIM, DIM) == ratios
    assert path.stat().st_mtime_ns == written
    measured = json.loads(path.read_text())
    assert measured["widths"] == [DIM, DIM]
    assert {"processor", "instructions", "torch", "threads"} <= measured.keys()
    speed_ratios(store, DIM, 8)
    assert len(remembered(store)) == 2


@pytest.mark.parametrize("limit", ["ONEDNN_MAX_CPU_ISA", "capability", "flags"])
def test_other_instructions_are_measured_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """A name such as "AMD EPYC" says nothing of what the machine may use."""
    set_speed(store, float32=100, bfloat16=900, int8=900)
    if limit == "flags":
        monkeypatch.setattr("hypencli.ops.search.scan._reported", lambda name: "sse avx2")
    elif limit == "capability":
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "OTHER")
    else:
        monkeypatch.setenv(limit, "SSE41")
    assert speed_ratios(store, DIM, DIM) != {"int8": 9, "bfloat16": 9}
    assert len(remembered(store)) == 2


def test_a_scan_is_chosen_where_it_pays(store: Store) -> None:
    set_speed(store, float32=100, bfloat16=200, int8=0)
    assert chosen(store) == (torch.bfloat16, False)
    assert chosen(store, n=3_000) is None
    assert chosen(store, q_nets=False) is None
    assert chosen(store, dtype="bfloat16") is None
    assert first_pass(store, device="meta") is None


def test_the_fastest_is_chosen_with_what_it_scores_again(store: Store) -> None:
    """int8 has more of them, and more to prepare: a small corpus does not gain that."""
    set_speed(store, float32=100, bfloat16=200, int8=300)
    assert chosen(store) == (torch.int8, False)
    assert chosen(store, n=15_000) == (torch.int8, False)
    assert chosen(store, n=13_000) == chosen(store, n=10_000) == (torch.bfloat16, False)
    assert chosen(store, n=12_000, k=100) == (torch.int8, False)
    set_speed(store, float32=100, bfloat16=120, int8=110)
    assert chosen(store) is None


@pytest.mark.parametrize("rate", [0, 50, 110])
def test_no_arithmetic_where_the_machine_is_not_faster_at_it(store: Store, rate: float) -> None:
    set_speed(store, float32=100, bfloat16=rate, int8=rate)
    assert chosen(store) is None
    assert chosen(store, n=9, scan="bfloat16", q_nets=False) == (torch.bfloat16, False)
    assert chosen(store, n=9, scan="int8") == (torch.int8, False), "what is named is done"


def test_surrogates_are_taken_where_they_are_named_alone(store: Store) -> None:
    set_speed(store, float32=100, bfloat16=0, int8=0)
    assert first_pass(store) is None
    named = first_pass(store, n=9, scan="surrogate")
    assert named is not None
    assert (named.dtype, named.surrogate) == (None, SurrogateOptions())


@pytest.mark.parametrize(("rate", "said"), [(0, "in no fast way"), (14, "at 0.14 times the rate")])
@pytest.mark.parametrize("scan", ["int8", "bfloat16"])
def test_a_named_arithmetic_that_is_slower_is_refused_unless_forced(
    store: Store, scan: str, rate: float, said: str
) -> None:
    set_speed(store, float32=100, bfloat16=rate, int8=rate)
    with pytest.raises(UsageError, match=f"This processor scores in {scan} {said}") as refused:
        first_pass(store, scan=scan)
    assert "force=true" in str(refused.value.hint)
    forced = first_pass(store, scan=scan, force=True)
    assert forced is not None
    assert str(forced.dtype) == f"torch.{scan}"
    set_speed(store, float32=100, bfloat16=101, int8=101)
    assert first_pass(store, scan=scan) == forced


def test_a_small_corpus_is_not_worth_a_measurement(store: Store) -> None:
    assert chosen(store, n=900) is None
    assert chosen(store, n=0) is None
    assert not remembered(store)


def test_a_certified_run_is_that_of_float32(store: Store, queries: QuerySet) -> None:
    """The same key, so that one is not done again after the other; the same results."""
    options = SearchOptions(
        k=5, engine=EngineSpec(options={"scan": "bfloat16"}), scoring=Scoring(device="cpu")
    )
    fast = search(store, queries, HYPER, options)
    scan = fast.scan
    assert scan is not None
    assert (scan.dtype, scan.certified, scan.fell_back) == ("bfloat16", True, 0)
    assert 5 <= scan.rescored.min <= scan.rescored.max <= fast.n_documents
    assert scan.bound > 0
    float32 = replace(options, engine=EngineSpec(options={"scan": "float32"}))
    again = search(store, queries, HYPER, float32)
    assert (again.existing, again.run, again.scan) == (True, fast.run, scan)
    actual = store.run(fast.run).results()
    store.remove(fast.run, force=True)
    plain = search(store, queries, HYPER, float32)
    assert (plain.existing, plain.run, plain.scan) == (False, fast.run, None)
    assert store.run(plain.run).results() == actual


def test_a_run_that_is_not_certified_is_another_one(store: Store, queries: QuerySet) -> None:
    certified = search(
        store, queries, HYPER, SearchOptions(k=5, engine=EngineSpec(options={"scan": "bfloat16"}))
    )
    options = SearchOptions(k=5, engine=EngineSpec(options={"scan": "bfloat16", "certify": False}))
    rough = search(store, queries, HYPER, options)
    assert rough.run != certified.run
    assert rough.scan is not None
    assert not rough.scan.certified
    inputs = store.get(rough.run).inputs
    assert (inputs["scan"], inputs["certify"]) == ("bfloat16", False)
    assert "scan" not in store.get(certified.run).inputs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            SearchOptions(engine=EngineSpec("guided", {"scan": "bfloat16"})),
            "of exact, not of guided",
        ),
        (
            SearchOptions(engine=EngineSpec("guided", {"certify": False})),
            "of exact, not of guided",
        ),
        (
            SearchOptions(
                engine=EngineSpec(options={"scan": "bfloat16"}), scoring=Scoring(dtype="bfloat16")
            ),
            "scores in bfloat16",
        ),
        (SearchOptions(engine=EngineSpec(options={"certify": False})), "a scan that is named"),
        (
            SearchOptions(engine=EngineSpec(options={"scan": "float32", "certify": False})),
            "a scan that is named",
        ),
    ],
)
def test_options_that_do_not_go_together(
    store: Store, queries: QuerySet, options: SearchOptions, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        search(store, queries, HYPER, options)
    assert caught.value.hint
