"""Eight commands at once on one store, each a process: one does the work, nobody is in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs
from hypestore.layout import Layout
from hypestore.work.locks import hold
from tests.e2e.faults.side_by_side import PATIENCE_SECONDS, Commands, forked

Hype = Callable[..., Any]


@contextmanager
def launched(folder: Path, commands: list[list[str]]) -> Iterator[Commands]:
    """Each a program of its own from its first instruction on."""
    folder.mkdir()
    shell = '"$@" > "$0.out" 2> "$0.err"; echo $? > "$0.tmp"; mv "$0.tmp" "$0.code"'
    running = [
        subprocess.Popen(
            ["sh", "-c", shell, str(folder / str(i)), sys.executable, "-m", "hypencli", *command]
        )
        for i, command in enumerate(commands)
    ]
    yield Commands(folder, len(commands))
    for process in running:
        process.wait(PATIENCE_SECONDS)


@pytest.fixture
def encoding(tiny_collection: Path, study: Path) -> list[str]:
    """The command that makes a set of twelve shards."""
    corpus = str(tiny_collection / "corpus.jsonl")
    inputs = ["--model", "hyper", "--max-length", "16", "--shard-rows", "10", "--name", "short"]
    return ["encode", corpus, *inputs, "--store", str(study), "--json"]


def made_once(study: Path) -> hs.EmbeddingSet:
    """The set, with all its documents; the catalog knows it once."""
    store = hs.Store.open(study)
    opened = store.embeddings("short")
    assert opened.ids(range(120)) == [f"d{i}" for i in range(120)]
    asked = store.catalog.query("SELECT id FROM artifacts WHERE name = 'short'")
    assert asked.rows == ((opened.manifest.id,),)
    assert store.unfinished() == []
    assert store.doctor(checksums=True).findings == ()
    return opened


def test_who_makes_a_set_is_said_to_those_who_leave_and_those_who_wait(
    encoding: list[str], study: Path, hype: Hype, tmp_path: Path
) -> None:
    """This process has it; then one of those who waited makes it, and the others find it."""
    set_id = hype(*encoding, "--dry-run").json["embeddings"]
    waiting = [*encoding, "--wait", str(PATIENCE_SECONDS)]
    me = f"The embedding set {set_id} is in use by process {os.getpid()} on "
    with forked(tmp_path / "said", [encoding] * 4 + [waiting] * 4) as commands:
        with hold(Layout(study).lock(set_id), what="It"):
            commands.wait(lambda number: me in commands.said(number) or commands.code(number))
            assert [commands.code(number) for number in range(8)] == [4] * 4 + [None] * 4
        codes = commands.codes()
    assert codes == [4] * 4 + [0] * 4
    for number in range(8):
        assert me in (commands.out(number)["error"]["message"] if number < 4 else "") + (
            commands.said(number)
        )
    collected = [commands.out(number) for number in range(4, 8)]
    assert sorted(one["existing"] for one in collected) == [False, True, True, True]
    assert {one["embeddings"] for one in collected} == {set_id}
    assert "Waiting up to 240 s." in commands.said(4)
    made_once(study)


def test_who_makes_a_part_is_said_to_those_who_wait(
    encoding: list[str], study: Path, hype: Hype, tmp_path: Path
) -> None:
    set_id = hype(*encoding, "--dry-run").json["embeddings"]
    part = [*encoding, "--shard", "1/2", "--wait", str(PATIENCE_SECONDS)]
    with forked(tmp_path / "said", [part]) as commands:
        with hold(Layout(study).lock(f"{set_id}.part-1-of-2"), what="It"):
            commands.wait(lambda number: "Waiting up to 240 s" in commands.said(number))
            assert f"Part 1 of 2 of {set_id} is in use by process {os.getpid()} on " in (
                commands.said(0)
            )
        assert commands.codes() == [0]
    assert hype(*encoding, "--shard", "2/2").code == 0
    made_once(study)


def test_a_model_is_taken_in_once_and_waited_for(
    study: Path, tiny_collection: Path, tiny_backbone: Path, hype: Hype, tmp_path: Path
) -> None:
    """The first commands with a model from outside, at once: none is sent away."""
    corpus = str(tiny_collection / "corpus.jsonl")
    command = ["encode", corpus, "--model", str(tiny_backbone), "--pooling", "mean", "--dry-run"]
    before = {model.id for model in hs.Store.open(study).artifacts("model")}
    other = hs.Store.create(tmp_path / "other")
    assert hype(*command, "--store", other.root).code == 0
    (model,) = other.artifacts("model")
    with forked(tmp_path / "said", [[*command, "--store", str(study)]] * 4) as commands:
        with hold(Layout(study).lock(model.id), what="It"):
            time.sleep(1)
            assert [commands.code(number) for number in range(4)] == [None] * 4
        assert commands.codes() == [0] * 4
    assert {one.id for one in hs.Store.open(study).artifacts("model")} == before | {model.id}


def one_makes_it(commands: Commands) -> None:
    """Half of them wait; whoever comes first makes it."""
    codes = commands.codes()
    assert codes[4:] == [0] * 4
    assert set(codes) <= {0, 4}
    outs = [commands.out(number) for number in range(8)]
    for code, out in zip(codes, outs, strict=True):
        assert code == 0 or "is in use by process " in out["error"]["message"]
    assert [out.get("existing") for out in outs].count(False) == 1


def eight_of_the_same(encoding: list[str]) -> list[list[str]]:
    return [encoding] * 4 + [[*encoding, "--wait", str(PATIENCE_SECONDS)]] * 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_eight_programs_encode_one_set(encoding: list[str], study: Path, tmp_path: Path) -> None:
    with launched(tmp_path / "said", eight_of_the_same(encoding)) as commands:
        one_makes_it(commands)
    made_once(study)


NOTEBOOK = """
import duckdb, sys, time
for _ in range(1000):
    try:
        connection = duckdb.connect(sys.argv[1])
        break
    except duckdb.Error:
        time.sleep(0.02)
connection.execute("SELECT count(*) FROM leaderboard").fetchall()
print("holding", flush=True)
sys.stdin.read()
connection.execute("SELECT count(*) FROM leaderboard").fetchall()
"""


@contextmanager
def notebook(study: Path) -> Iterator[None]:
    """Has the catalog open, for writing too, as long as the block takes."""
    command = [sys.executable, "-c", NOTEBOOK, str(study / "catalog.duckdb")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "holding\n"
        yield
        process.stdin.close()
    assert process.returncode == 0


def of_all_kinds(study: Path, collection: Path, run: Path, turn: int) -> list[list[str]]:
    """Seven commands; the notebook is the eighth process."""
    corpus, queries = str(collection / "corpus.jsonl"), str(collection / "queries.jsonl")
    encoding = ["encode", corpus, "--model", "hyper", "--shard-rows", "10"]
    judged = ["--qrels", str(collection / "qrels.txt")]
    searching = ["search", queries, "--model", "hyper", "--embeddings", "hyper-docs", *judged]
    commands = [
        [*encoding, "--max-length", str(20 + turn), "--name", f"even-{turn}"],
        [*encoding, "--max-length", str(60 + turn), "--name", f"odd-{turn}"],
        [*searching, "--k", str(5 + turn), "--name", f"found-{turn}"],
        ["import", "run", str(run), "--name", f"theirs-{turn}"],
        ["report"],
        ["report", "--sql", "SELECT name, measure, value FROM leaderboard"],
        ["doctor", "--checksums"],
    ]
    return [[*command, "--store", str(study), "--json"] for command in commands]


def nothing_is_lost(study: Path, turns: int) -> None:
    """The catalog comes in step with the first who asks it, now that the notebook is closed."""
    store = hs.Store.open(study)
    expected_names = {row[0] for row in store.catalog.query("SELECT name FROM artifacts").rows}
    ranked = {row[0] for row in store.catalog.query("SELECT name FROM leaderboard").rows}
    for turn in range(turns):
        assert {f"even-{turn}", f"odd-{turn}", f"found-{turn}", f"theirs-{turn}"} <= expected_names
        assert f"found-{turn}" in ranked
        for name in (f"even-{turn}", f"odd-{turn}"):
            assert store.embeddings(name).ids(range(120)) == [f"d{i}" for i in range(120)]
        assert store.run(f"found-{turn}").results().keys() == {f"q{i}" for i in range(12)}
    assert store.unfinished() == []
    assert store.doctor(checksums=True).findings == ()


@pytest.fixture
def a_run(tmp_path: Path) -> Callable[[int], Path]:
    """A file of a run, another one each turn."""

    def make(turn: int) -> Path:
        path = tmp_path / f"run-{turn}.txt"
        lines = (f"q{i} Q0 d{i + turn} 1 {1 + turn}.5 theirs\n" for i in range(12))
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return make


def all_end_well(commands: Commands) -> None:
    assert commands.codes() == [0] * 7, [commands.said(number) for number in range(7)]
    for number in range(7):
        assert "lock" not in commands.said(number)


def test_commands_of_all_kinds_and_a_notebook(
    study: Path, tiny_collection: Path, a_run: Callable[[int], Path], tmp_path: Path
) -> None:
    with (
        notebook(study),
        forked(tmp_path / "said", of_all_kinds(study, tiny_collection, a_run(0), 0)) as commands,
    ):
        all_end_well(commands)
    nothing_is_lost(study, 1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_programs_of_all_kinds_and_a_notebook(
    study: Path, tiny_collection: Path, a_run: Callable[[int], Path], tmp_path: Path
) -> None:
    """Three times; in between the notebook lets go, as a user does who closes it."""
    for turn in range(3):
        inputs = of_all_kinds(study, tiny_collection, a_run(turn), turn)
        with notebook(study), launched(tmp_path / f"said-{turn}", inputs) as commands:
            all_end_well(commands)
    nothing_is_lost(study, 3)
