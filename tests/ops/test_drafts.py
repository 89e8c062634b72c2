"""What is refused leaves no unfinished work behind, but for shards that a retry goes on with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hypestore
from tests.conftest import Hype


@pytest.fixture
def root(study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HYPE_STORE", str(study))
    return study


def unfinished(root: Path) -> list[str]:
    return [one.kind for one in hypestore.Store.open(root).unfinished()]


def lines(path: Path, count: int, *, broken: int) -> Path:
    """Documents, of which one is no JSON."""
    written = [json.dumps({"id": f"d{n}", "text": f"river {n}"}) for n in range(count)]
    written[broken] = "{"
    path.write_text("\n".join(written))
    return path


@pytest.mark.parametrize(("broken", "left"), [(2, []), (7, ["embeddings"])])
def test_an_encoding_with_a_broken_line(
    hype: Hype, root: Path, tmp_path: Path, broken: int, left: list[str]
) -> None:
    """Behind the first whole shard, that shard stays: the line may be mended there."""
    corpus = lines(tmp_path / "docs.jsonl", 10, broken=broken)
    done = hype("encode", corpus, "--model", "hyper", "--shard-rows", 5)
    assert (done.code, f"line {broken + 1}" in done.err) == (5, True), done.err
    assert unfinished(root) == left


def test_a_part_leaves_the_folder_to_the_others(hype: Hype, root: Path, tmp_path: Path) -> None:
    corpus = lines(tmp_path / "docs.jsonl", 10, broken=2)
    done = hype("encode", corpus, "--model", "hyper", "--shard-rows", 5, "--shard", "1/2")
    assert done.code == 5, done.err
    assert unfinished(root) == ["embeddings"]


def test_an_import_of_embeddings(hype: Hype, root: Path, tmp_path: Path) -> None:
    width = hypestore.Store.open(root).artifacts("embeddings")[0].stats["dim"]
    vectors = np.ones((3, int(str(width))), dtype=np.float32)
    vectors[1, 0] = np.nan
    np.save(tmp_path / "new.npy", vectors)
    (tmp_path / "ids.txt").write_text("a\nb\nc\n")
    done = hype(
        *("import", "embeddings", tmp_path / "new.npy"),
        *("--ids", tmp_path / "ids.txt", "--model", "hyper"),
    )
    assert (done.code, "document 'b'" in done.err) == (5, True), done.err
    assert unfinished(root) == []


def test_an_import_of_a_model(hype: Hype, root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text('{"architectures": ["Hypencoder"]}')
    done = hype("import", "model", tmp_path / "empty")
    assert done.code == 6, done.err
    assert unfinished(root) == []
