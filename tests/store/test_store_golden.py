"""A store of each released format version is checked in, and stays readable."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import hypestore as hs

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden(tmp_path: Path) -> hs.Store:
    return hs.Store.open(shutil.copytree(GOLDEN / "format-1", tmp_path / "store"))


def test_there_is_one_of_every_version() -> None:
    versions = {f"format-{version}" for version in range(1, hs.FORMAT_VERSION + 1)}
    assert {folder.name for folder in GOLDEN.iterdir()} == versions


def test_version_1_is_whole(golden: hs.Store) -> None:
    report = golden.doctor(checksums=True, rebuild=True)
    (finding,) = report.findings
    assert finding.severity == "info"
    assert "4 manifests have no seal" in finding.problem
    assert [manifest.id for manifest in golden.artifacts()] == [
        "tiny-a04804c963",
        "letters-689e39cdfc",
        "run-d5e9f724ae",
        "eval-qrels-2a736ddd78",
    ]


def test_version_1_has_its_values(golden: hs.Store) -> None:
    assert dict(golden.defaults) == {"model": "tiny"}
    letters = golden.embeddings("letters")
    expected = [[0, 0.25, 0.5], [0.75, 1, 1.25], [1.5, 1.75, 2], [-1, 0.5, 2048]]
    np.testing.assert_array_equal(letters.vectors(range(4)), expected)
    assert all(shard.in_place for shard in letters.shards)
    assert letters.dtype == np.float16
    assert letters.ids([3, 0]) == ["d", "a"]
    assert letters.texts([3, 0]) == ["fourth", "first"]
    assert golden.run("first").results() == {"q1": [("b", 1.5), ("a", -0.5)], "q2": []}
    assert golden.run("first").queries() == {"q1": "one", "q2": "two"}
    (evaluation,) = golden.evaluations("first")
    assert golden.aggregates(evaluation.id) == {"RR": 0.5}
    assert golden.per_query(evaluation.id)["value"].to_pylist() == [1.0, 0.0]
    actual = golden.catalog.query("SELECT name, model, measure, value FROM leaderboard")
    assert actual.rows == (("first", "tiny", "RR", 0.5),)
    assert len(golden.catalog.query("FROM training_curves").rows) == 2


def test_the_same_inputs_still_give_the_same_ids(golden: hs.Store) -> None:
    """Otherwise everything would be made again after an upgrade."""
    for manifest in golden.artifacts():
        id_prefix = manifest.id.rpartition("-")[0]
        assert hs.artifact_id(manifest.kind, id_prefix, manifest.inputs) == manifest.id
    spec = hs.EmbeddingSpec(
        id_prefix="letters",
        inputs={"corpus": "letters", "passage_fingerprint": "f0", "max_length": 8},
        dim=3,
    )
    assert spec.id == "letters-689e39cdfc"
