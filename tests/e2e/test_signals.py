"""Ctrl-C, SIGTERM, a closed terminal and a closed pipe: no traceback, the exit code of a shell.

The real command, from its first instruction on.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hypestore

Run = Callable[..., dict[str, Any]]

STOPS = {"SIGINT": "Interrupted", "SIGTERM": "Ended by SIGTERM", "SIGHUP": "Ended by SIGHUP"}
KEPT = "What is done is kept: run the same command again to go on.\n"
NOTHING = "Nothing is left half done.\n"
GOING_ON = ("encode", "graph", "train", "import embeddings")
OTHERS = (
    *("search", "eval", "rm", "report", "doctor"),
    *("import run", "import graph", "import study"),
)


OFTEN = {("encode", "SIGTERM"), ("train", "SIGTERM"), ("search", "SIGHUP"), ("graph", "SIGHUP")}
"""Where another signal than Ctrl-C is tried in every run of the tests."""


EACH = [
    pytest.param(
        verb, name, marks=() if name == "SIGINT" or (verb, name) in OFTEN else pytest.mark.slow
    )
    for verb in (*GOING_ON, *OTHERS)
    for name in STOPS
]


@pytest.mark.parametrize(("verb", "name"), EACH)
def test_a_signal(
    verb: str,
    name: str,
    trials: dict[str, Any],
    commands: Run,
    contents: Callable[[Path], Any],
    snapshot: Callable[[Path], dict[str, str]],
    tmp_path: Path,
) -> None:
    """In the middle of every verb; the same command makes all of it after that."""
    trial, number = trials[verb], signal.Signals[name]
    whole, root = trial.copy(tmp_path / "whole"), trial.copy(tmp_path / "stopped")
    calm = commands(trial.command, whole)
    before = snapshot(root)
    middle = len(calm["operations"]) // 2
    stopped = commands(trial.command, root, pattern=".", passing=middle, signal=int(number))
    assert stopped["code"] == 128 + number, stopped["stderr"]
    assert stopped["stdout"] == ""
    assert stopped["stderr"].endswith(f"{STOPS[name]}. {KEPT if verb in GOING_ON else NOTHING}")
    if not trial.removes:
        assert snapshot(root).items() >= before.items()
    assert hypestore.Store.open(root).doctor(checksums=True).healthy
    again = commands(trial.command, root)
    assert again["code"] == 0 or (trial.removes and again["code"] == 4), again["stderr"]
    assert contents(root) == contents(whole)


def hype(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hypencli", *arguments]


PRINTING = (
    ["report"],
    ["report", "--json"],
    ["ls", "--json"],
    ["ls"],
    ["show", "hyper-run"],
    ["query", "river bank", "--k", "100"],
    ["query", "river bank", "--k", "100", "--json"],
    ["doctor", "--json"],
)
HELP = (["--help"], ["search", "--help"])


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_the_reader_leaves(arguments: list[str], commands: Run, study: Path) -> None:
    """As in ``hype report | head -c 1``, with a reader that is gone before all is written."""
    done = commands(arguments, study, unread=True)
    assert done["code"] == 141, done["stderr"]
    assert "Error" not in done["stderr"]


@pytest.mark.parametrize("arguments", [PRINTING[1], *HELP], ids=" ".join)
def test_the_reader_leaves_a_program(arguments: list[str], finished_study: Path) -> None:
    """Nothing is said at the end of the interpreter either."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        hype(*arguments),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "HYPE_STORE": str(finished_study)},
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_nobody_reads_the_messages(trials: dict[str, Any], tmp_path: Path) -> None:
    """As in ``hype encode ... 2>&1 | head -1``: what was done until then is kept."""
    root = trials["encode"].copy(tmp_path / "store")
    reading, writing = os.pipe()
    os.close(reading)
    command = hype(*trials["encode"].command, "--store", str(root))
    done = subprocess.run(command, stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 141
    assert hypestore.Store.open(root).doctor(checksums=True).healthy


class Terminal:
    """A command in a terminal of its own, which can be closed."""

    def __init__(self, command: list[str], root: Path) -> None:
        self._root = root
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [*command, "--store", str(root)])

    def watch_until(self, pattern: str) -> str:
        """Until a file of the store fits; what was on the screen."""
        deadline, shown = time.monotonic() + 120, b""
        while not list(self._root.glob(pattern)):
            assert time.monotonic() < deadline, shown
            if select.select([self._screen], [], [], 0.002)[0]:
                shown += os.read(self._screen, 4096)
        return shown.decode()

    def type_ctrl_c(self) -> str:
        """What was on the screen after it."""
        os.write(self._screen, b"\x03")
        shown = b""
        while True:
            try:
                shown += os.read(self._screen, 4096)
            except OSError:  # the last one to write to it has gone
                return shown.decode()

    def close(self) -> None:
        """As the window is closed, or the connection lost."""
        os.close(self._screen)

    def code(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def shell_signals() -> Iterator[None]:
    """Signals as a shell gives them to what it starts, whatever started these tests."""
    kinds = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.mark.usefixtures("shell_signals")
@pytest.mark.parametrize(
    ("verb", "pattern"),
    [("encode", "embeddings/*/vectors-00001*"), ("train", "models/*/unfinished/checkpoint-3/c*")],
)
def test_the_terminal_is_closed(
    verb: str,
    pattern: str,
    trials: dict[str, Any],
    commands: Run,
    contents: Callable[[Path], Any],
    tmp_path: Path,
) -> None:
    """The bars have nowhere to be drawn any more; the work ends in order, and goes on after it."""
    trial = trials[verb]
    whole, root = trial.copy(tmp_path / "whole"), trial.copy(tmp_path / "closed")
    assert commands(trial.command, whole)["code"] == 0
    expected_names = {path.name for path in root.glob("embeddings/*")}
    terminal = Terminal(hype(*trial.command), root)
    terminal.watch_until(pattern if verb == "train" else _new(pattern, expected_names, whole))
    terminal.close()
    assert terminal.code() == 129
    assert hypestore.Store.open(root).doctor(checksums=True).healthy
    assert commands(trial.command, root)["code"] == 0
    assert contents(root) == contents(whole)


def _new(pattern: str, expected_names: set[str], whole: Path) -> str:
    """The pattern for the set that is not there yet."""
    (created,) = {path.name for path in whole.glob("embeddings/*")} - expected_names
    return pattern.replace("*", created, 1)


@pytest.mark.usefixtures("shell_signals")
def test_ctrl_c_in_a_terminal(trials: dict[str, Any], tmp_path: Path) -> None:
    trial = trials["train"]
    root = trial.copy(tmp_path / "store")
    terminal = Terminal(hype(*trial.command), root)
    terminal.watch_until("models/*/unfinished/checkpoint-3/complete.json")
    shown = terminal.type_ctrl_c()
    assert terminal.code() == 130
    assert "Traceback" not in shown
    assert "Stopping after this step with a checkpoint" in shown
    assert KEPT.strip() in shown


@pytest.mark.usefixtures("shell_signals")
def test_nohup(trials: dict[str, Any], commands: Run, tmp_path: Path) -> None:
    """A hangup that the process was told to ignore does not end it."""
    trial = trials["train"]
    root = trial.copy(tmp_path / "store")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    command = hype(*trial.command, "--store", str(root))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not list(root.glob("models/*/unfinished/checkpoint-3/complete.json")):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert b"Stopping" not in said


@pytest.mark.parametrize("verb", ["mine", "data check"])
def test_verbs_that_keep_nothing_do_not_promise_it(
    verb: str, study: Path, commands: Run, tiny_collection: Path, tmp_path: Path
) -> None:
    output, qrels = tmp_path / "mined.jsonl", str(tiny_collection / "qrels.txt")
    arguments = {
        "mine": ["hyper-run", "--qrels", qrels, "--output", str(output)],
        "data check": [str(tiny_collection / "train.jsonl"), "--tokenizer", "hyper"],
    }[verb]
    stopped = commands([*verb.split(), *arguments], study, pattern=".", passing=2, signal=2)
    assert stopped["code"] == 130
    assert stopped["stderr"].endswith(f"Interrupted. {NOTHING}")
    assert list(tmp_path.glob("*mined*")) == []
