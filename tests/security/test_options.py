"""Every option and argument of every verb takes hostile values without a traceback.

The verbs and their options are read from the command line itself, so a new one is walked, too. The
fast suite has a seeded share of the cases; ``make fuzz`` has all.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hypencli.cli.app import command

SECONDS = 60
"""Time limit of a command. Only a command that hangs reaches it."""

LONG = "9" * 5000
VALUES = [
    *("-1", "0", "1", "2147483648", "9223372036854775808", LONG, f"-{LONG}", "4" * 30),
    *("1e400", "1e-400", "nan", "-inf", "1.5", "0x10", "1_0", "１２", f"{LONG}/{LONG}", "1/2"),
    *("", " ", "a" * 256, "é" * 200, "a" * 5000, "\udcff", "\x1b[2J", "-", "--", "--x"),
    *("'; $(x) `x` \"", "../x", "a/b", ".hidden", "{x", "%s%n", "k=v", "k=", "=v", f"k={LONG}"),
    *("none:x", "irds:none", "hub:none/none", "~nosuchuser/x", "~", "."),
    *("{odd}/missing", "{odd}/missing/deeper/x.jsonl", "{odd}/folder", "{odd}/file.jsonl"),
    *("{odd}/file.jsonl/x", "{odd}/bytes.parquet", "{odd}/empty", "{odd}/pipe", "{odd}/circle"),
    *("{odd}/socket", "{odd}/dangling", "{odd}/\udcff.jsonl", "{odd}/file.jsonl.gz"),
    "{odd}/" + "x" * 300,
]
"""Values for every option and argument; ``{odd}`` is a folder of odd files."""

SPECIAL: dict[str, list[str]] = {
    "--set": [
        f"{key}={value}"
        for key in ("training.steps", "data.query_max_length", "model.converter.layers")
        for value in (LONG, "-1", "0", "1e400", "'x'", "{}", "[", "'{odd}/pipe'")
    ]
    + ["data.train={odd}/folder", "model.backbone={odd}/file.jsonl", "model.backbone=''"],
    "-o": [f"{name}={value}" for name in ("budget", "width", "trees") for value in (LONG, "-1")],
    "--measures": [
        *("nDCG@0", f"nDCG@{LONG}", "ERR@10", "Accuracy", "Accuracy@5", "nDCG(gains={1:1e400})"),
        *("P(rel=-9)@5", f"P(rel={LONG})@5", "nDCG@-1", "RR(", "nDCG(dcg='x')@10", "Judged@10"),
        *("SetF(beta=1e400)", "IPrec@2", "RBP(p=2)", "INST", "BPM", "infAP", "alpha_nDCG@10"),
    ],
    "--limit": [f"{name}={value}" for name in ("k", "waiting") for value in (LONG, "-1", "0", "x")],
    "--sql": ["SELECT", "SELECT 1; SELECT 2", "SELECT '" + "x" * 5000 + "'", f"SELECT {LONG}"],
}
"""More values for single options."""


@dataclass(frozen=True)
class Base:
    """A command line that works, into which the walk puts its values.

    Attributes:
        arguments: Name of an argument -> its value, or its values.
        options: The options.
    """

    arguments: dict[str, list[str]]
    options: list[str]


HYPER = ["--model", "hyper"]
TRAIN = [
    *("--set", "model.backbone={backbone}", "--set", "data.train={files}/train.jsonl"),
    *("--set", "training.steps=2", "--set", "losses=[{{type = 'cross_entropy'}}]"),
]
CHECK = ["--tokenizer", "{backbone}"]
BASES: dict[str, Base] = {
    "init": Base({"directory": ["new"]}, []),
    "ls": Base({"kind": ["runs"]}, []),
    "show": Base({"reference": ["hyper-run"]}, []),
    "rm": Base({"reference": ["plain-run"]}, ["--force"]),
    "doctor": Base({}, []),
    "set": Base({"key": ["device"], "value": ["cpu"]}, []),
    "demo": Base({"directory": ["new"]}, []),
    "recipes": Base({}, []),
    "recipes show": Base({"recipe": ["tiny"]}, []),
    "train": Base({"recipe": ["tiny"]}, TRAIN),
    "mine": Base({"run": ["hyper-run"]}, ["--qrels", "{files}/qrels.txt", "-o", "rows.jsonl"]),
    "teach": Base(
        {"rows": ["{files}/train.jsonl"]}, ["--bi-encoder", "plain", "-o", "taught.jsonl"]
    ),
    "data list": Base({}, []),
    "data prepare": Base({"name": ["tot-test"]}, ["--from", "{tot}", "-o", "prepared"]),
    "data check": Base({"rows": ["{files}/train.jsonl"]}, CHECK),
    "encode": Base({"dataset": ["{files}/corpus.jsonl"]}, ["--model", "plain", "--limit", "9"]),
    "graph": Base({"embeddings": ["hyper-docs"]}, ["-k", "3"]),
    "index": Base({"embeddings": ["hyper-docs"]}, ["--kind", "flat16"]),
    "perturb": Base({"queries": ["{files}/queries.jsonl"]}, ["--kind", "misspelling"]),
    "search": Base({"queries": ["{files}/queries.jsonl"]}, ["-k", "7", *HYPER]),
    "query": Base({"text": ["river"]}, HYPER),
    "engines": Base({"name": ["guided"]}, []),
    "serve": Base({}, [*HYPER, "--host", "203.0.113.1", "--port", "{taken}"]),
    "mcp": Base({}, HYPER),
    "calibrate": Base({"queries": ["{files}/queries.jsonl"]}, ["--sample", "2", *HYPER]),
    "fuse": Base({"runs": ["hyper-run", "plain-run"]}, []),
    "eval": Base({"runs": ["hyper-run"]}, ["--qrels", "{files}/qrels.txt"]),
    "report": Base({"runs": ["hyper-run", "plain-run"]}, []),
    "compare": Base({"runs": ["hyper-run", "plain-run"]}, []),
    "costs": Base({}, []),
    "robustness": Base({"base": ["hyper-run"], "runs": ["plain-run"]}, []),
    "replicate": Base({"recipe": ["{odd}/table.toml"]}, []),
    "export run": Base({"run": ["hyper-run"]}, []),
    "export embeddings": Base({"embeddings": ["hyper-docs"]}, ["-o", "vectors.npy"]),
    "export graph": Base({"graph": ["near"]}, ["--format", "npy"]),
    "export model": Base({"model": ["plain"]}, ["-o", "exported"]),
    "export study": Base({"output": ["new.tar.gz"]}, []),
    "import run": Base({"file": ["{given}/run.trec"]}, []),
    "import embeddings": Base(
        {"file": ["{given}/vectors.npy"]},
        ["--model", "plain", "--ids", "{files}/corpus.jsonl", "--name", "vectors"],
    ),
    "import graph": Base(
        {"file": ["{given}/near.jsonl"]}, ["--embeddings", "hyper-docs", "--name", "again"]
    ),
    "import model": Base({"folder": ["{backbone}"]}, ["--pooling", "mean"]),
    "import study": Base({"file": ["{given}/study.tar.gz"]}, []),
}
"""Verb -> a command line of it that works."""

TABLE = """
description = "one figure"
measures = ["nDCG@10"]
k = 20
[models.hype]
source = "hyper"
[datasets.tiny]
queries = "FILES/queries.jsonl"
corpus = "FILES/corpus.jsonl"
qrels = "FILES/qrels.txt"
"""


def commands(one: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The verbs below a command, as ``(words, command)``."""
    below = getattr(one, "commands", {})
    for name, sub in below.items():
        yield from commands(sub, (*path, name))
    if path and (not below or one.invoke_without_command):
        yield " ".join(path), one


VERBS = dict(commands(command()))


def parameters(verb: str) -> Iterator[tuple[str, list[str]]]:
    """The options and arguments of a verb that take a value, with the values for each."""
    for one in VERBS[verb].params:
        if getattr(one, "is_flag", False) or one.opts == ["--json"]:
            continue
        more = [value for option in one.opts for value in SPECIAL.get(option, [])]
        yield (one.opts[0] if one.opts[0].startswith("-") else one.name), VALUES + more


def cases(verb: str, share: int | None) -> Iterator[tuple[str, str]]:
    """Pairs of a parameter and a value: all, or a seeded ``share`` for each parameter.

    The share has ``--store`` for one verb only, because one function reads it for all.
    """
    for name, values in parameters(verb):
        if share and name == "--store" and verb != "ls":
            continue
        drawn = random.Random(f"{verb} {name}")
        yield from ((name, value) for value in (drawn.sample(values, share) if share else values))


def arguments(verb: str, name: str, value: str, places: dict[str, str]) -> list[str]:
    """The command line of a verb with one value in the place of another."""
    base = BASES[verb]
    store = [] if not any(one.name == "store" for one in VERBS[verb].params) else ["{store}"]
    options = [part.format(**places) for part in base.options]
    options += [f"--store={one.format(**places)}" for one in store]
    for key, replacement in places.items():
        value = value.replace(f"{{{key}}}", replacement)
    taken = {
        key: [part.format(**places) for part in parts] for key, parts in base.arguments.items()
    }
    if name.startswith("-"):
        options += [name, value]
    else:
        taken[name] = [*taken.get(name, [])[:-1], value]
    return [*verb.split(), *options, "--", *(part for parts in taken.values() for part in parts)]


def make_odd(folder: Path, files: Path) -> None:
    """Files and folders that no verb expects."""
    folder.mkdir()
    (folder / "folder").mkdir()
    (folder / "file.jsonl").write_text('{"id": "a", "text": "b"}\n', encoding="utf-8")
    (folder / "file.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00 no gzip")
    (folder / "bytes.parquet").write_bytes(bytes(range(256)) * 8)
    (folder / "empty").touch()
    os.mkfifo(folder / "pipe")
    (folder / "circle").symlink_to("circle")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "\udcff.jsonl").write_text('{"id": "a", "text": "b"}\n', encoding="utf-8")
    (folder / "table.toml").write_text(TABLE.replace("FILES", str(files)), encoding="utf-8")
    with closing(socket.socket(socket.AF_UNIX)) as one:
        before = Path.cwd()
        os.chdir(folder)  # the path of a socket is at most 107 bytes
        one.bind("socket")
        os.chdir(before)


class Walk:
    """A store and files for the walk, and the process that runs its commands."""

    def __init__(self, root: Path, study: Path, places: dict[str, str]) -> None:
        self.root, self.study = root, study
        self.places = {**places, "store": str(root / "study"), "odd": str(root / "odd")}
        self._before: object = None
        environment = {
            **os.environ,
            **{"HF_HUB_OFFLINE": "1", "HOME": str(root / "home"), "OMP_NUM_THREADS": "1"},
            **{"IR_DATASETS_HOME": str(root / "home"), "COLUMNS": "80", "PYTHONUTF8": "1"},
        }
        program = Path(__file__).with_name("walker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(program)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: list[str]) -> dict[str, Any]:
        """Run a command line in a fresh copy of everything."""
        if self._before is None or self._seen() != self._before:
            self._fresh()
        job = {"arguments": arguments, "folder": str(self.root / "here"), "seconds": SECONDS}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        outcome: dict[str, Any] = json.loads(self.process.stdout.readline())
        return outcome

    def _fresh(self) -> None:
        for name in ("study", "here", "home", "odd"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        shutil.copytree(self.study, self.root / "study")
        make_odd(self.root / "odd", Path(self.places["files"]))
        for name in ("here", "home"):
            (self.root / name).mkdir()
        self._before = self._seen()

    def _seen(self) -> list[tuple[str, int, int]]:
        """What is in the folders: names, sizes and times, without locks."""
        found = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118 - pathlib is slow here
                told = os.lstat(path)
                if not folder.endswith("/locks"):
                    found.append((path, told.st_size, told.st_mtime_ns))
        return sorted(found)


@pytest.fixture(scope="module")
def walk(
    finished_study: Path,
    tiny_collection: Path,
    tiny_backbone: Path,
    repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Walk]:
    from hypencli.__main__ import main

    root = tmp_path_factory.mktemp("options")
    study = Path(shutil.copytree(finished_study, root / "base"))
    given = root / "given"
    given.mkdir()
    for line in (
        ["graph", "hyper-docs", "-k", "3", "--name", "near"],
        ["export", "run", "hyper-run", "-o", given / "run.trec"],
        ["export", "embeddings", "hyper-docs", "-o", given / "vectors.npy"],
        ["export", "graph", "near", "-o", given / "near.jsonl"],
        ["export", "study", given / "study.tar.gz"],
    ):
        assert main([*map(str, line), "--store", str(study)]) == 0
    places = {
        "files": str(tiny_collection),
        "backbone": str(tiny_backbone),
        "given": str(given),
        "tot": str(repository / "tests" / "samples" / "hard-tasks" / "tot-test"),
    }
    work = root / "work"
    work.mkdir()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        walk = Walk(work, study, {**places, "taken": str(taken.getsockname()[1])})
        with walk.process:
            yield walk


ERROR = re.compile(r"^(?:Error: |.{0,4} Error )", re.MULTILINE)


def complaint(outcome: dict[str, Any], *, as_json: bool) -> str | None:
    """What is wrong with the outcome of a command; None if nothing is."""
    code, out, err = outcome["code"], outcome["out"], outcome["err"]
    if code is None:
        return "hangs"
    if code not in (0, 2, 3, 4, 5, 6):
        return f"exit code {code}"
    if "Traceback" in err or "Warning:" in err:
        return "a traceback or a warning of Python"
    if code == 0:
        return None
    if not as_json:
        problems = len(ERROR.findall(err))
        return None if problems == 1 else f"{problems} messages"
    try:
        error = json.loads(out)["error"]
    except (ValueError, KeyError, TypeError):
        return "no error in JSON"
    if error["exit_code"] != code or not error["message"]:
        return "another error in JSON"
    return "the argument is poured out" if len(error["message"]) > 2_000 else None


def problems(walk: Walk, verb: str, share: int | None) -> list[str]:
    found = []
    for number, (name, value) in enumerate(cases(verb, share)):
        line = arguments(verb, name, value, walk.places)
        as_json = number % 2 == 1
        if as_json:
            line[len(verb.split()) : len(verb.split())] = ["--json"]
        outcome = walk.run(line)
        wrong = complaint(outcome, as_json=as_json)
        if wrong is not None:
            shown = [part if len(part) < 90 else f"{part[:80]}…({len(part)})" for part in line]
            last = outcome["err"].strip()[-1500:] or outcome["out"][-300:]
            found.append(f"{wrong}: hype {shown}\n{last}")
    return found


def test_every_verb_has_a_base() -> None:
    assert BASES.keys() == VERBS.keys()


@pytest.mark.parametrize("verb", BASES)
def test_the_base_works(verb: str, walk: Walk) -> None:
    """Else the walk would meet the same error again and again."""
    base = BASES[verb]
    if verb == "demo":  # its encoder is hidden, because it would take minutes
        assert walk.run(["demo", "new"])["code"] == 2
        return
    line = arguments(verb, "--json", "", walk.places)
    line.remove("")
    outcome = walk.run(line)
    if verb == "serve":  # what it listens at is taken, because a server that starts does not end
        assert outcome["code"] == 2
        assert "Cannot listen" in outcome["out"]
        return
    assert outcome["code"] == 0, (base, outcome["err"])


@pytest.mark.parametrize("verb", BASES)
def test_a_share_of_hostile_values_ends_with_a_message(verb: str, walk: Walk) -> None:
    assert problems(walk, verb, 8 if verb == "ls" else 1) == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("verb", BASES)
def test_all_hostile_values_end_with_a_message(verb: str, walk: Walk) -> None:
    assert problems(walk, verb, None) == []
