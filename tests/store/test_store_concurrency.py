"""Several processes at once: nothing is lost, nothing is done in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import hypestore as hs

Start = Callable[..., Any]

WRITER = """
    import sys
    import numpy as np
    import hypestore as hs

    store, me, count = hs.Store.open(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    # The same model by all, one part of one embedding set each, and runs of one's own.
    with store.draft("model", "m", {"m": 1}, wait_seconds=60) as draft:
        if draft.existing is None:
            (draft.path / "config.json").write_text("{}")
            print("made the model", flush=True)
        model = draft.commit()
    spec = hs.EmbeddingSpec(id_prefix="c", inputs={}, parents=(model.id,), dim=4, shard_rows=5,
                            keep_text=False)
    with store.embedding_work(spec, part=(me + 1, count), wait_seconds=60) as work:
        if work.existing is None:
            for shard in range(me, 12, count):
                ids = [f"d{row}" for row in range(shard * 5, shard * 5 + 5)]
                work.write_shard(shard, ids, np.full((5, 4), shard, np.float32))
            if not work.missing(12):
                work.finish(60)
    for number in range(5):
        with store.run_writer("r", {"me": me, "number": number}, parents=(model.id,)) as writer:
            writer.queries([("q", "")])
            writer.append(["q"], ["d"], [1], [1.0])
            run = writer.commit()
        store.write_evaluation(run.id, qrels_id="x", inputs={}, per_query=[("q", "RR", 1.0)],
                               aggregates={"RR": 1.0})
        assert len(store.catalog.query("SELECT * FROM leaderboard").rows) >= number + 1
    print("done", flush=True)
"""


def test_four_writers_at_once(store: hs.Store, python: Start) -> None:
    count = 4
    writers = [python(WRITER, store.root, me, count) for me in range(count)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    outputs = []
    for writer in writers:
        output, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
        outputs.append(output)
    assert sum("made the model" in output for output in outputs) == 1
    assert len(store.artifacts("model")) == 1
    assert len(store.artifacts("run")) == len(store.artifacts("evaluation")) == 5 * count
    (embeddings,) = store.artifacts("embeddings")
    opened = store.embeddings(embeddings.id)
    assert opened.ids(range(60)) == [f"d{row}" for row in range(60)]
    assert opened.vectors(range(60))[:, 0].tolist() == [row // 5 for row in range(60)]
    assert store.catalog.query("SELECT count(*) FROM leaderboard").rows == ((5 * count,),)
    report = store.doctor(checksums=True)
    assert report.findings == ()


def test_invariant_6_two_commands_at_once_both_read(filled: Any, python: Start) -> None:
    code = """
        import sys, hypestore as hs
        store = hs.Store.open(sys.argv[1])
        for _ in range(10):
            rows = store.catalog.query("SELECT run, value FROM leaderboard").rows
            assert len(rows) == 2, rows
        print("done", flush=True)
    """
    readers = [python(code, filled.root) for _ in range(3)]
    for reader in readers:
        output, errors = reader.communicate(timeout=60)
        assert output == "done\n", errors


def test_threads_of_one_process_may_query_at_once(filled: Any) -> None:
    actual: list[int] = []

    def ask() -> None:
        actual.extend(len(filled.store.catalog.query("FROM leaderboard").rows) for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert actual == [2] * 15
