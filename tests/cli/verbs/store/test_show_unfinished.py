"""A training seen while it runs, by other commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypestore
from hypencli.ops.phase import RecordedProgress
from hypencli.progress import SILENT
from hypestore import Store

Hype = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def begin(store: Store, name: str | None = "long", **inputs: object) -> hypestore.Draft:
    settings = {"architecture": "hypencoder", "recipe": "tiny", **inputs}
    return store.draft("model", "tiny", settings, name=name)


def test_show_draws_a_running_training(hype: Hype, store: Store) -> None:
    with begin(store) as draft:
        shown = hype("show", "long", "--store", store.root)
        assert shown.code == 0
        assert "model long, unfinished" in shown.out
        assert f"held by: process {os.getpid()} on " in shown.out
        assert "last step" not in shown.out
        for step in range(10, 1210, 10):
            draft.progress([(step, "loss", 1 / step), (step, "learning_rate", 1e-5)])
        draft.progress([(1200, "validation.nDCG@10", 0.25)])
        for reference in ("long", draft.id, draft.id[:-4]):
            shown = hype("show", reference, "--store", store.root)
            assert "last step: 1,200, logged 20" in shown.out
            assert "loss: 0.0008333 at step 1,200" in shown.out
            assert "validation.nDCG@10: 0.25 at step 1,200" in shown.out
            assert "architecture: hypencoder" in shown.out
    left = hype("show", "long", "--store", store.root)
    assert "held by: nobody" in left.out


def test_show_tells_the_phase_before_the_first_step(hype: Hype, store: Store) -> None:
    with begin(store) as draft:
        progress = RecordedProgress(SILENT, draft.path)
        with progress.task("encoding [b]passages", total=5_000, unit="passages") as task:
            task.advance(1_200)
        shown = hype("show", "long", "--store", store.root).out
        assert "phase: encoding [b]passages, 1,200 of 5,000 passages, at 20" in shown
        assert "last step" not in shown
        as_json = hype("show", "long", "--store", store.root, "--json").json
        assert as_json["phase"]["done"] == 1_200
        listed = hype("ls", "--store", store.root, "--json").json
        assert "unfinished at encoding [b]passages, 1,200 of 5,000 passages" in listed[0]["about"]
    left = hype("show", "long", "--store", store.root).out
    assert "stopped at: encoding [b]passages, 1,200 of 5,000 passages" in left


def test_show_gives_the_points_of_a_running_training_as_json(hype: Hype, store: Store) -> None:
    with begin(store) as draft:
        draft.progress([(1, "loss", 0.5), (2, "loss", 0.25), (2, "norm", float("nan"))])
        shown = hype("show", "long", "--store", store.root, "--json").json
    assert shown["work"]["id"] == draft.id
    assert shown["work"]["is_held"] is True
    assert shown["last_step"] == 2
    assert shown["curves"] == {"loss": [[1, 0.5], [2, 0.25]], "norm": [[2, None]]}
    with begin(store) as draft:
        draft.commit()
    assert hype("show", "long", "--store", store.root, "--json").json["manifest"]["id"] == draft.id


def test_what_is_unknown_stays_so(hype: Hype, store: Store) -> None:
    with begin(store):
        pass
    refused = hype("show", "absent", "--store", store.root)
    assert (refused.code, refused.out) == (4, "")
    assert "No artifact has the id or name 'absent'" in refused.err
    with begin(store, None, seed=1):
        pass
    ambiguous = hype("show", "tiny-", "--store", store.root, "--json")
    assert ambiguous.code == 4
    assert ambiguous.json["error"]["type"] == "AmbiguousReference"


def test_ls_marks_what_is_unfinished(hype: Hype, store: Store) -> None:
    with begin(store, "done", seed=1) as draft:
        draft.commit()
    with begin(store) as draft:
        draft.progress([(1200, "loss", 0.5)])
        for arguments in (["ls"], ["ls", "models"]):
            listed = hype(*arguments, "--store", store.root, "--json").json
            assert [(one["name"], one["unfinished"]) for one in listed] == [
                ("done", False),
                ("long", True),
            ]
        assert listed[1]["about"].startswith("hypencoder, recipe tiny: unfinished at step 1,200, ")
        assert listed[1]["size_bytes"] > 0
        assert hype("ls", "runs", "--store", store.root, "--json").json == []
        assert "unfinished at step 1,200, process" in hype("ls", "--store", store.root).out
    assert "interrupted" in hype("ls", "--store", store.root).out


def test_sql_of_another_process_follows_a_training(store: Store) -> None:
    sql = (
        "SELECT u.name, u.last_step, count(*) AS points FROM unfinished AS u "
        "JOIN training_curves AS c ON c.model = u.id GROUP BY ALL"
    )
    command = [sys.executable, "-m", "hypencli", "report", "--sql", sql, "--json"]

    def ask() -> list[dict[str, object]]:
        done = subprocess.run(
            [*command, "--store", str(store.root)], capture_output=True, text=True, check=True
        )
        rows: list[dict[str, object]] = json.loads(done.stdout)["rows"]
        return rows

    with begin(store) as draft:
        for step in (5, 10):
            draft.progress([(step, "loss", 0.5), (step, "epoch", step / 100)])
            assert ask() == [{"name": "long", "last_step": step, "points": 2 * step // 5}]
        draft.commit()
    assert ask() == []


def test_rm_takes_what_ls_lists(hype: Hype, store: Store) -> None:
    with begin(store) as draft:
        draft.progress([(10, "loss", 0.5)])
        busy = hype("rm", "long", "--store", store.root)
        assert (busy.code, busy.out) == (4, "")
        assert f"in use by process {os.getpid()}" in busy.err
    removed = hype("rm", "long", "--store", store.root)
    assert (removed.code, removed.out) == (0, f"Removed {draft.id}.\n")
    assert hype("ls", "--store", store.root, "--json").json == []
    assert hype("rm", "long", "--store", store.root).code == 4
