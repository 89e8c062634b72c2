"""Which arithmetic an exact search scans in, and what a run says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hypencli.data.queries import QuerySet, open_queries
from hypencli.errors import UsageError
from hypencli.ops.models import ModelSource
from hypencli.ops.scan import choose_scan, speed_ratio
from hypencli.ops.search import search
from hypencli.ops.search_records import SearchOptions
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


def set_speed(store: Store, float32: float, bfloat16: float) -> None:
    """What was measured of q-nets of this width, as if the machine were another."""
    speed_ratio(store, DIM, DIM)
    (path,) = remembered(store)
    measured = json.loads(path.read_text())
    measured["rows_per_second"] = {"float32": float32, "bfloat16": bfloat16}
    path.write_text(json.dumps(measured))


def test_the_machine_is_measured_once_a_width(store: Store) -> None:
    ratio = speed_ratio(store, DIM, DIM)
    assert ratio >= 0
    (path,) = remembered(store)
    written = path.stat().st_mtime_ns
    assert speed_ratio(store, DIM, DIM) == ratio
    assert path.stat().st_mtime_ns == written
    measured = json.loads(path.read_text())
    assert measured["widths"] == [DIM, DIM]
    assert {"processor", "torch", "threads"} <= measured.keys()
    speed_ratio(store, DIM, 8)
    assert len(remembered(store)) == 2


def test_a_scan_is_chosen_where_it_pays(store: Store) -> None:
    options = SearchOptions(device="cpu")
    set_speed(store, float32=100, bfloat16=200)
    assert choose_scan(store, options, n=LARGE, dim=DIM, q_nets=True) is not None
    assert choose_scan(store, options, n=3_000, dim=DIM, q_nets=True) is None
    assert choose_scan(store, options, n=LARGE, dim=DIM, q_nets=False) is None
    in_bfloat16 = replace(options, dtype="bfloat16")
    assert choose_scan(store, in_bfloat16, n=LARGE, dim=DIM, q_nets=True) is None


@pytest.mark.parametrize("bfloat16", [0, 50, 110])
def test_no_scan_where_the_machine_is_not_faster_at_it(store: Store, bfloat16: float) -> None:
    set_speed(store, float32=100, bfloat16=bfloat16)
    options = SearchOptions(device="cpu")
    assert choose_scan(store, options, n=LARGE, dim=DIM, q_nets=True) is None
    named = choose_scan(store, replace(options, scan="bfloat16"), n=9, dim=DIM, q_nets=False)
    assert named is not None, "what is named is done"


def test_a_small_corpus_is_not_worth_a_measurement(store: Store) -> None:
    assert choose_scan(store, SearchOptions(device="cpu"), n=900, dim=DIM, q_nets=True) is None
    assert not remembered(store)


def test_a_certified_run_is_that_of_float32(store: Store, queries: QuerySet) -> None:
    """The same key, so that one is not done again after the other; the same results."""
    options = SearchOptions(k=5, scan="bfloat16", device="cpu")
    fast = search(store, queries, HYPER, options)
    scan = fast.scan
    assert scan is not None
    assert (scan.dtype, scan.certified, scan.fell_back) == ("bfloat16", True, 0)
    assert 5 <= scan.rescored.min <= scan.rescored.max <= fast.n_documents
    assert scan.bound > 0
    again = search(store, queries, HYPER, replace(options, scan="float32"))
    assert (again.existing, again.run, again.scan) == (True, fast.run, scan)
    found = store.run(fast.run).results()
    store.remove(fast.run, force=True)
    plain = search(store, queries, HYPER, replace(options, scan="float32"))
    assert (plain.existing, plain.run, plain.scan) == (False, fast.run, None)
    assert store.run(plain.run).results() == found


def test_a_run_that_is_not_certified_is_another_one(store: Store, queries: QuerySet) -> None:
    certified = search(store, queries, HYPER, SearchOptions(k=5, scan="bfloat16"))
    options = SearchOptions(k=5, scan="bfloat16", certify=False)
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
        (SearchOptions(engine="guided", scan="bfloat16"), "exact search; this search is guided"),
        (SearchOptions(engine="guided", certify=False), "exact search; this search is guided"),
        (SearchOptions(dtype="bfloat16", scan="bfloat16"), "--dtype bfloat16"),
        (SearchOptions(certify=False), "a scan that is named"),
        (SearchOptions(scan="float32", certify=False), "a scan that is named"),
    ],
)
def test_options_that_do_not_go_together(
    store: Store, queries: QuerySet, options: SearchOptions, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        search(store, queries, HYPER, options)
    assert caught.value.hint
