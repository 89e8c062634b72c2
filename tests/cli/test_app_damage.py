"""What the command line says of a damaged store: the file, and never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]

FILES = {
    "a manifest": "runs/*/manifest.json",
    "results": "runs/*/results.parquet",
    "queries": "runs/*/queries.parquet",
    "measures": "evaluations/*/metrics.parquet",
    "measures by query": "evaluations/*/per_query.parquet",
    "vectors": "embeddings/*/vectors-00000.parquet",
    "texts": "embeddings/*/text-00000.parquet",
    "weights": "models/*/model.safetensors",
    "configuration": "models/*/config.json",
    "curves": "models/*/training.parquet",
    "catalog": "catalog.duckdb",
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("what", FILES)
def test_every_verb_names_the_file_or_does_without_it(
    study: Path, tiny_collection: Path, hype: Hype, what: str, damage: Callable[[Path], None]
) -> None:
    path = sorted(study.glob(FILES[what]))[0]
    damage(path)
    place = path.relative_to(study).as_posix()
    outcome = hype("doctor", "--checksums", "--store", study)
    is_work = what == "a manifest" and damage is Path.unlink  # may be finished yet
    if what != "catalog":
        assert outcome.code == 4, outcome.out
        assert (path.parent.name if is_work else path.name) in outcome.out.replace("\n", "")
    queries, qrels = tiny_collection / "queries.jsonl", tiny_collection / "qrels.txt"
    verbs: list[list[object]] = [
        ["ls"],
        ["report"],
        ["report", "--sql", "FROM leaderboard"],
        ["report", "hyper-run", "plain-run"],
        ["eval", "hyper-run", "--qrels", qrels],
        ["show", "hyper"],
        ["show", "hyper-run"],
    ]
    if what in ("vectors", "texts", "weights", "configuration"):
        verbs.append(["search", queries, "--model", "hyper", "--k", 3])
        verbs.append(["search", queries, "--model", "plain", "--k", 3])
    for verb in verbs:
        done = hype(*verb, "--store", study)
        assert done.code in (0, 4, 6), (verb, done.err)
        if done.code:
            # By its path where it is read, by its id or name where it is not found any more.
            expected_names = (place, path.parent.name, "hyper-run", "plain-run")
            assert any(one in done.err for one in expected_names), (verb, done.err)
