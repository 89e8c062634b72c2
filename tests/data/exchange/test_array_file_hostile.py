"""Arrays of others, as vectors that are imported: no pickle is read, no claim of size believed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tests.conftest import Hype
from tests.hostile import ARRAYS, Payload, little_memory, objects, zipped


@pytest.mark.parametrize("case", [*ARRAYS, "objects", "a pickle", "an archive"])
def test_arrays_of_others(hype: Hype, study: Path, tmp_path: Path, canary: Path, case: str) -> None:
    content = (
        ARRAYS.get(case)
        or {
            "objects": objects(canary),
            "a pickle": pickle.dumps(Payload(canary)),
            "an archive": zipped({"x.npy": objects(canary)}),
        }[case]
    )
    path, ids = tmp_path / "x.npy", tmp_path / "ids.txt"
    path.write_bytes(content)
    ids.write_text("a\n", encoding="utf-8")
    with little_memory():
        shown = hype(
            *("import", "embeddings", path, "--ids", ids, "--model", "plain", "--corpus", "c"),
            *("--store", study),
        )
    assert shown.code == 5
    assert "x.npy" in shown.err
