"""Verbs that need no model start without the libraries that models need."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

HEAVY = ["torch", "transformers", "accelerate", "safetensors"]
HEAVY_FOR_HELP = [*HEAVY, "duckdb", "pyarrow", "numpy", "scipy", "ir_datasets", "ir_measures"]

SCRIPT = """
import importlib.abc, importlib.machinery, json, sys

class Broken(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name in json.loads(sys.argv[3]):
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        raise ModuleNotFoundError(spec.name)

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Broken())
from hypencli.__main__ import main
results = []
for arguments in json.loads(sys.argv[1]):
    code = main(arguments)
    results.append([code, [name for name in json.loads(sys.argv[2]) if name in sys.modules]])
print()
print(json.dumps(results))
"""


Result: TypeAlias = tuple[int, list[str]]
"""The exit code of a command, and which modules of a list its process has imported."""


def run_all(
    commands: Sequence[Sequence[str]], heavy: Sequence[str], *, absent: Sequence[str] = ()
) -> list[Result]:
    """Run commands one after another in a new process, which cannot import ``absent``.

    As long as none of them imports a heavy module, each starts as in a process of its own.
    """
    lists = (json.dumps(one) for one in (commands, heavy, absent))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *lists],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [(code, loaded) for code, loaded in json.loads(done.stdout.splitlines()[-1])]


def run(arguments: list[str], heavy: list[str], *, absent: Sequence[str] = ()) -> Result:
    """Run one command in a new process."""
    return run_all([arguments], heavy, absent=absent)[0]


HELPS = [
    ["--help"],
    ["--version"],
    ["encode", "--help"],
    ["graph", "--help"],
    ["search", "--help"],
    ["report", "--help"],
    ["compare", "--help"],
    ["costs", "--help"],
    ["robustness", "--help"],
    ["data", "check", "--help"],
    ["data", "prepare", "--help"],
    ["data", "list", "--help"],
    ["mine", "--help"],
    ["teach", "--help"],
    ["perturb", "--help"],
    ["fuse", "--help"],
    ["import", "embeddings", "--help"],
    ["export", "run", "--help"],
]


@pytest.fixture(scope="module")
def helps() -> dict[str, Result]:
    results = run_all(HELPS, HEAVY_FOR_HELP)
    return {" ".join(one): result for one, result in zip(HELPS, results, strict=True)}


@pytest.mark.parametrize("arguments", [" ".join(one) for one in HELPS])
def test_help_imports_nothing_heavy(arguments: str, helps: dict[str, Result]) -> None:
    assert helps[arguments] == (0, [])


VERBS: list[list[str]] = [
    ["ls"],
    ["show", "hyper-run"],
    ["doctor", "--checksums"],
    ["doctor", "--rebuild"],
    ["report"],
    ["report", "--schema"],
    ["costs"],
    ["report", "plain-run", "hyper-run"],
    ["compare", "plain-run", "hyper-run"],
    ["report", "--html", "{folder}/page.html"],
    ["report", "--sql", "SELECT 1"],
    ["export", "run", "hyper-run", "--output", "{folder}/run.trec"],
    ["import", "run", "{folder}/run.trec", "--name", "again"],
    ["eval", "again", "--qrels", "{collection}/qrels.txt"],
    ["rm", "again", "--force"],
    ["fuse", "hyper-run", "plain-run", "--qrels", "{collection}/qrels.txt"],
    ["compare", "--pool", "hyper-run"],
    ["robustness", "hyper-run", "plain-run"],
    ["perturb", "{collection}/queries.jsonl", "--kind", "ordering", "-o", "{folder}/o.jsonl"],
    ["export", "embeddings", "hyper-docs", "--output", "{folder}/docs.npy"],
    [
        *("import", "embeddings", "{folder}/docs.npy", "--model", "hyper"),
        *("--ids", "{folder}/docs.ids.txt"),
    ],
    ["data", "check", "{collection}/train.jsonl"],
    ["data", "prepare", "tot-train", "--from", "{samples}/tot-train"],
    ["data", "prepare", "followir-test", "--from", "{samples}/followir-test"],
    ["data", "list"],
    [
        "mine",
        "hyper-run",
        "--qrels",
        "{folder}/few.qrels",
        "--output",
        "{folder}/mined.parquet",
    ],
    ["recipes"],
    ["replicate"],
    ["recipes", "show", "tiny"],
    ["init", "{folder}/other"],
]


@pytest.fixture(scope="module")
def verbs(shared_study: Path, tiny_collection: Path, hard_tasks: Path) -> list[Result]:
    folder = shared_study.parent
    (folder / "few.qrels").write_text("q0 0 d0 1\n", encoding="utf-8")
    places = {"folder": folder, "collection": tiny_collection, "samples": hard_tasks}
    commands = [[part.format(**places) for part in arguments] for arguments in VERBS]
    for command in commands:
        if command[0] not in ("recipes", "init"):
            command += ["--store", str(shared_study)]
    return run_all(commands, HEAVY)


@pytest.mark.parametrize("place", range(len(VERBS)), ids=[" ".join(verb[:3]) for verb in VERBS])
def test_verbs_without_a_model_import_neither_torch_nor_transformers(
    place: int, verbs: list[Result]
) -> None:
    assert verbs[place] == (0, [])


def test_verbs_that_only_look_import_nothing_that_computes(shared_study: Path) -> None:
    heavy = [*HEAVY, "pyarrow.compute", "pyarrow.dataset", "pandas", "ir_measures", "rich.progress"]
    looks = [["ls"], ["show", "hyper-run"], ["report", "--json"]]
    results = run_all([[*look, "--store", str(shared_study)] for look in looks], heavy)
    assert results == [(0, [])] * 3


def test_a_search_is_refused_before_torch_is_imported(
    shared_study: Path, tiny_collection: Path
) -> None:
    search = ["search", str(tiny_collection / "queries.jsonl"), "--store", str(shared_study)]
    absent_model = [*search, "--model", "nobodys"]
    option_of_another_engine = [*search, "--model", "hyper", "--budget", "10"]
    refused = run_all([absent_model, option_of_another_engine], HEAVY)
    assert refused == [(4, []), (2, [])]


def test_a_search_does_not_wait_for_functions_that_it_does_not_call(
    shared_study: Path, tiny_collection: Path
) -> None:
    arguments = ["search", str(tiny_collection / "queries.jsonl"), "--model", "hyper", "--k", "3"]
    arguments += ["--embeddings", "hyper-docs", "--store", str(shared_study)]
    # pyarrow itself imports pandas, and pandas pyarrow.compute, when it makes a first array.
    assert run(arguments, ["pyarrow.compute", "pyarrow.dataset"], absent=["pandas"]) == (0, [])


def test_a_question_imports_torch_and_no_library_around_it(shared_study: Path) -> None:
    arguments = ["query", "river", "--model", "hyper", "--store", str(shared_study)]
    arguments += ["--embeddings", "hyper-docs"]
    needless = ["transformers", "huggingface_hub", "accelerate", "pandas", "scipy", "sklearn"]
    needless += ["ir_datasets", "ir_measures", "torch._dynamo", "torch.distributed.tensor"]
    # torch imports sympy where it reasons about shapes, such as for tensors without memory.
    assert run(arguments, [*needless, "sympy", "torch"]) == (0, ["torch"])


@pytest.fixture(scope="module")
def shared_study(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for the commands above, which build on each other."""
    import shutil

    copy = tmp_path_factory.mktemp("startup") / "study"
    shutil.copytree(finished_study, copy)
    return copy


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import json, sys, hypencli; "
        "print(json.dumps([name for name in json.loads(sys.argv[1]) if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(HEAVY_FOR_HELP)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []
