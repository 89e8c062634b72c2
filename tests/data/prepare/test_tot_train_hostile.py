"""Released archives that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.data.prepare import tot_train
from hypencli.errors import DataError
from tests.hostile import zipped


def test_a_released_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tot_train, "MAX_UNPACKED_BYTES", 10**6 - 1)
    wanted = [*tot_train.DOCUMENTS, tot_train.NEGATIVES]
    wanted += [f"splits/{s}/{f}" for s in tot_train.SPLITS for f in ("qrels.txt", "queries.json")]
    path = tmp_path / "Books.zip"
    path.write_bytes(zipped({f"Books/{name}": bytes(10**5) for name in wanted}))
    with pytest.raises(DataError, match="unpacks to"):
        tot_train._unpacked(path, "Books", tmp_path / "out")
    assert not (tmp_path / "out").exists()
