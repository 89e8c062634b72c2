"""A store of version 0.4 with everything that 0.4 can hold, and with unfinished work in it.

``hype-0.4.0.zip`` was made by ``FINISHED`` and ``STOPPED`` below. Version 0.4 then went on with a
copy of it (``SEARCHES``, ``PART`` 2/2, ``LONGER``). What came out is in the folder ``expected`` of
the sample, and this version has to reach the same.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import hypestore as hs
from hypencli.__main__ import main

SAMPLE = Path(__file__).parents[1] / "samples" / "stores" / "hype-0.4.0.zip"
CPU = ("--device", "cpu")
TINY = ("--set", "model.backbone=backbone", "--set", "data.train=data/train.jsonl")
JUDGED = ("--qrels", "data/qrels.txt")


def search(model: str, name: str, k: int, *options: str) -> tuple[str, ...]:
    """The command for one run of the sample."""
    query_set = ("search", "data/queries.jsonl", "--model", model)
    return (*query_set, "--k", str(k), "--name", name, *options, *CPU)


FINISHED = (
    ("train", "tiny", "--name", "small", *TINY, "--set", "training.steps=3", *CPU),
    ("encode", "data/corpus.jsonl", "--model", "small", "--name", "docs", *CPU),
    search("small", "first", 5, *JUDGED),
    ("train", "data/bi.toml", "--name", "pair", *CPU),
    ("encode", "data/corpus.jsonl", "--model", "pair", "--name", "pairs", *CPU),
    search("pair", "dots", 5, *JUDGED),
    ("graph", "docs", "--builder", "exact", "--k", "4", "--name", "near", *CPU),
    search("small", "walked", 5, "--engine", "graph", *JUDGED),
    search("small", "led", 5, "--approx", "--budget", "8", "--check", "4", *JUDGED),
    ("calibrate", "data/queries.jsonl", "--model", "small", "--sample", "4", *CPU),
    (
        *("import", "run", "data/bm25.trec", "--name", "bm25"),
        *("--corpus", "file:data/corpus.jsonl", "--queries", "file:data/queries.jsonl"),
    ),
    ("fuse", "first", "bm25", "--name", "both", *JUDGED),
    ("eval", "bm25", *JUDGED),
)
PART = ("encode", "data/more.jsonl", "--model", "small", "--name", "more", "--shard-rows", "4")
LONGER = (
    *("train", "tiny", "--name", "longer", *TINY, "--set", "training.steps=8"),
    *("--set", "training.logging_steps=1", *CPU),
)
STOPPED = (
    (*PART, "--shard", "1/2", *CPU),
    (*LONGER, "--set", "training.max_minutes=0.00001"),  # one step; typed three times
)
SEARCHES = (
    search("small", "first-4", 4),
    search("pair", "dots-4", 4),
    search("small", "walked-4", 4, "--engine", "graph"),
    search("small", "led-4", 4, "--approx", "--budget", "8", "--check", "4"),
    ("fuse", "dots", "bm25", "--k", "4", "--name", "fused-4"),
)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> hs.Store:
    """The store, with the files that it was made from in the current folder."""
    with zipfile.ZipFile(SAMPLE) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYPE_STORE", str(tmp_path / "store"))
    return hs.Store.open(tmp_path / "store")


@pytest.fixture
def expected(old: hs.Store) -> Any:
    """What version 0.4 printed of this store, and what it reached from there."""
    return json.loads(Path("expected/expected.json").read_text())


def run(*command: str) -> None:
    assert main(list(command)) == 0


def named(store: hs.Store, name: str) -> hs.Manifest:
    (manifest,) = (one for one in store.artifacts() if one.name == name)
    return manifest


def assert_rankings_equal(
    actual: hs.ResultsByQuery, expected: dict[str, Sequence[tuple[str, float]]]
) -> None:
    """The same documents in the same order; scores may differ where the processor does."""
    assert actual.keys() == expected.keys()
    for query, ranking in expected.items():
        assert [one[0] for one in actual[query]] == [one[0] for one in ranking]
        assert [one[1] for one in actual[query]] == pytest.approx(
            [one[1] for one in ranking], abs=1e-5
        )


def test_the_leaderboard_has_the_figures_of_then(
    old: hs.Store, expected: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the catalog that 0.4 wrote, and from one that is built anew."""
    run("report", "--json")
    assert json.loads(capsys.readouterr().out) == expected["report"]
    (old.root / "catalog.duckdb").unlink()
    run("report", "--json")
    assert json.loads(capsys.readouterr().out) == expected["report"]


def test_everything_is_listed_the_unfinished_too(
    old: hs.Store, capsys: pytest.CaptureFixture[str]
) -> None:
    run("ls", "--json")
    listed = json.loads(capsys.readouterr().out)
    assert len(listed) == len(old.artifacts()) + 2
    assert {one["name"] for one in listed if one["name"]} == {
        *("small", "docs", "first", "pair", "pairs", "dots", "near", "walked", "led"),
        *("bm25", "both", "more", "longer"),
    }
    for name in ("small", "near", "led", "both"):
        run("show", name)
        assert named(old, name).id in capsys.readouterr().out


def test_the_commands_that_made_it_make_nothing_new(
    old: hs.Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every id of 0.4 is the id that this version gives to the same command."""

    def manifests() -> dict[str, str]:
        paths = (old.path(one) / "manifest.json" for one in old.artifacts())
        return {path.parent.name: path.read_text() for path in paths}

    before = manifests()
    assert len(before) == 18
    for command in FINISHED:
        run(*command)
        assert manifests() == before, command
    capsys.readouterr()


@pytest.mark.parametrize(
    "command", SEARCHES, ids=lambda command: command[command.index("--name") + 1]
)
def test_another_search_has_the_ranking_of_then(
    old: hs.Store, expected: Any, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    name = command[command.index("--name") + 1]
    run(*command)
    assert_rankings_equal(old.run(name).results(), expected["rankings"][name])
    capsys.readouterr()


def test_the_other_shards_finish_the_embedding_set(
    old: hs.Store, expected: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shards of 0.4 stay as they are; the last one makes the set that 0.4 makes as a whole."""
    (unfinished,) = (one for one in old.unfinished() if one.kind == "embeddings")
    folder = old.root / "embeddings" / unfinished.id
    kept = {path.name: path.read_bytes() for path in folder.glob("vectors-*")}
    assert len(kept) == 2
    run(*PART, "--shard", "2/2", *CPU)
    stored = old.embeddings("more")
    assert stored.manifest.id == unfinished.id == expected["more"]["id"]
    assert stored.ids(np.arange(stored.n)) == expected["more"]["ids"]
    vectors = stored.vectors(np.arange(stored.n))
    assert np.allclose(vectors, expected["more"]["vectors"], atol=1e-3)
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert old.doctor(checksums=True).healthy
    capsys.readouterr()


def test_the_training_goes_on_from_its_checkpoint(
    old: hs.Store, expected: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with the weights that 0.4 ends with, interrupted or not."""
    run(*LONGER)
    assert "Continued from step 3" in capsys.readouterr().out
    model = named(old, "longer")
    assert model.id == expected["longer"]["id"]
    assert model.stats["resumed_from"] == 3
    assert model.stats["final_loss"] == pytest.approx(expected["longer"]["final_loss"], abs=1e-4)
    actual = load_file(old.path(model) / "model.safetensors")
    weights = load_file("expected/longer.safetensors")
    assert actual.keys() == weights.keys()
    for name, tensor in weights.items():
        assert np.allclose(actual[name], tensor, atol=1e-5), name
