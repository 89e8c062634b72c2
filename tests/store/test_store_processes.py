"""Eight processes at once, as people and notebooks use one store: nothing lost, nobody broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import hypestore as hs

Start = Callable[..., Any]

PREAMBLE = """
    import json, sys, time
    import duckdb
    import numpy as np
    import hypestore as hs

    store, me, rounds = hs.Store.open(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
"""

ENCODER = """
    # The same set by two: the second is told who has it, then waits and finds it made.
    spec = hs.EmbeddingSpec(id_prefix="c", inputs={"round": 0}, dim=4, shard_rows=5,
        keep_text=False)
    refusals = []
    def encode(wait_seconds):
        with store.embedding_work(spec, wait_seconds=wait_seconds) as work:
            if work.existing is not None:
                return "found"
            for shard in range(12):
                ids = [f"d{row}" for row in range(shard * 5, shard * 5 + 5)]
                work.write_shard(shard, ids, np.full((5, 4), shard, np.float32))
                time.sleep(0.1)
            work.finish(60)
            return "made"
    if me:
        time.sleep(0.3)
        try:
            encode(0.0)
        except hs.ArtifactBusy as error:
            refusals.append(error.message)
    print(json.dumps({"done": encode(30.0), "refusals": refusals}))
"""

SEARCHER = """
    # Reads vectors, writes runs and measures, asks for them.
    vectors = store.embeddings("corpus")
    for number in range(rounds):
        best = int(vectors.vectors(range(10))[:, number % 4].argmax())
        inputs = {"me": me, "number": number}
        with store.run_writer("r", inputs, parents=(vectors.manifest.id,)) as writer:
            writer.queries([("q", "")])
            writer.append(["q"], vectors.ids([best]), [1], [1.0])
            run = writer.commit()
        store.write_evaluation(run.id, qrels_id="x", inputs={}, per_query=[("q", "RR", 1.0)],
                               aggregates={"RR": 1.0})
        assert store.run(run.id).results() == {"q": [(f"d{best}", 1.0)]}
    print(json.dumps({"runs": rounds}))
"""

REPORTER = """
    # What is there only grows, but for the runs that are removed by name.
    last = 0
    for _ in range(rounds):
        rows = store.catalog.query("SELECT run FROM leaderboard WHERE run NOT LIKE 'doomed%'").rows
        assert len(rows) >= last, (len(rows), last)
        last = len(rows)
        report = store.doctor()
        assert report.healthy, report.findings
    print(json.dumps({"seen": last}))
"""

NOTEBOOK = """
    # Holds the catalog open all the time, for reading (me = 0) or writing.
    def opened():
        for _ in range(1000):
            try:
                return duckdb.connect(str(store.catalog.path), read_only=me == 0)
            except duckdb.Error:
                time.sleep(0.02)
        raise SystemExit("the catalog was never free")
    with opened() as connection:
        print("holding", flush=True)
        for _ in range(rounds):
            connection.execute("SELECT count(*) FROM leaderboard").fetchall()
            time.sleep(0.2)
    print(json.dumps({"held": rounds}))
"""

REMOVER = """
    # Makes runs and removes them while the others read.
    removed = []
    for number in range(rounds):
        with store.run_writer("doomed", {"number": number}) as writer:
            writer.queries([("q", "")])
            writer.commit()
        removed += store.remove(writer.id)
    print(json.dumps({"removed": len(removed)}))
"""

READER = """
    # Reads whatever is there: what is removed meanwhile is not found, and nothing else happens.
    read = 0
    for _ in range(rounds):
        for run in store.artifacts("run"):
            try:
                read += len(store.run(run.id).queries())
            except hs.ArtifactNotFound:
                pass
    print(json.dumps({"read": read}))
"""


def together(
    store: hs.Store, python: Start, roles: list[tuple[str, int]], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Start all, let them go at once, and give what each says in the end."""
    started = [python(PREAMBLE + code, store.root, me, rounds) for code, me in roles]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = []
    for process in started:
        output, errors = process.communicate(timeout=seconds)
        assert process.returncode == 0, errors
        assert "lock" not in errors, errors
        said.append(json.loads(output.splitlines()[-1]))
    return said


def run_all(
    store: hs.Store, python: Start, make_embeddings: Callable[..., hs.Manifest], rounds: int
) -> None:
    make_embeddings(store, 10)
    searchers = 2
    roles = [(ENCODER, 0), (ENCODER, 1), *((SEARCHER, me) for me in range(searchers))]
    roles += [(REPORTER, 0), (NOTEBOOK, 1), (REMOVER, 0), (READER, 0)]
    said = together(store, python, roles, rounds, 240)
    assert sorted(one["done"] for one in said[:2]) == ["found", "made"]
    (refusal,) = said[0]["refusals"] + said[1]["refusals"]
    assert "is in use by process " in refusal
    assert " on " in refusal
    assert " since 20" in refusal
    runs = store.artifacts("run")
    assert len(runs) == len(store.artifacts("evaluation")) == searchers * rounds
    assert store.catalog.query("SELECT count(*) FROM leaderboard").rows == ((len(runs),),)
    report = store.doctor(checksums=True)
    assert report.findings == ()
    (created,) = (one for one in store.artifacts("embeddings") if one.id.startswith("c-"))
    assert store.embeddings(created.id).ids(range(60)) == [f"d{row}" for row in range(60)]


def test_eight_processes_at_once(
    store: hs.Store, python: Start, make_embeddings: Callable[..., hs.Manifest]
) -> None:
    run_all(store, python, make_embeddings, rounds=4)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("attempt", range(10))
def test_eight_processes_for_long(
    store: hs.Store, python: Start, make_embeddings: Callable[..., hs.Manifest], attempt: int
) -> None:
    run_all(store, python, make_embeddings, rounds=20)


def test_a_notebook_that_only_reads_is_in_nobodys_way(
    store: hs.Store, python: Start, make_embeddings: Callable[..., hs.Manifest]
) -> None:
    make_embeddings(store, 10)
    said = together(store, python, [(NOTEBOOK, 0), (SEARCHER, 0)], 3, 120)
    assert said == [{"held": 3}, {"runs": 3}]
    assert store.catalog.query("SELECT count(*) FROM leaderboard").rows == ((3,),)
    assert store.doctor(checksums=True).findings == ()
