"""Commands that may open few files end well, or say so; nothing is called damaged or left over."""

from __future__ import annotations

from pathlib import Path

import pytest

import hypestore as hs
from hypencli.__main__ import main

resource = pytest.importorskip("resource", reason="needs POSIX limits")
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


@pytest.mark.parametrize("verb", ["search", "eval", "report", "export", "doctor", "ls"])
def test_a_verb_ends_well_or_says_what_is_missing(
    study: Path,
    tiny_collection: Path,
    tmp_path: Path,
    verb: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    qrels = str(tiny_collection / "qrels.txt")
    commands = {
        "search": [
            *("search", str(tiny_collection / "queries.jsonl"), "--model", "hyper"),
            *("--embeddings", "hyper-docs", "--qrels", qrels, "--k"),
        ],
        "eval": ["eval", "hyper-run", "--qrels", qrels, "--measures"],
        "report": ["report"],
        "export": [
            "export",
            "run",
            "hyper-run",
            "--overwrite",
            "--output",
            str(tmp_path / "run.trec"),
        ],
        "doctor": ["doctor", "--checksums"],
        "ls": ["ls"],
    }

    def arguments(at: int) -> list[str]:
        varied = {"search": [str(5 + at)], "eval": [f"nDCG@{2 + at}"]}
        return [*commands[verb], *varied.get(verb, []), "--store", str(study)]

    assert main(arguments(20)) == 0  # all modules are loaded
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    codes = []
    for more in range(10):
        taken = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
        limit = free = 0
        while free < more or limit <= 2:
            free += limit not in taken
            limit += 1
        capsys.readouterr()
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
        try:
            codes.append(main(arguments(more)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        said = capsys.readouterr()
        if codes[-1] != 0:
            assert codes[-1] == 4, (more, said)
            assert "no more files" in said.err, (more, said)
            assert "ulimit -n" in said.err
        for word in ("damage", "Traceback", "is made again", "written again", "left out"):
            assert word not in said.err, (more, said)
    assert 0 in codes
    assert 4 in codes
    store = hs.Store.open(study)
    assert store.unfinished() == []
    assert store.doctor(checksums=True).healthy
