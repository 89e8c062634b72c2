"""What is said of a disk that is full, whichever library met it, and before long work begins."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import hypestore as hs
from hypestore.free_space import disk_full_in, free_bytes, in_words, is_disk_full


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:595] . PytorchStreamWriter failed "
                     "writing file data/0: file write failed"),
        OSError("1024 requested and 512 written"),
    ],
    ids=lambda error: str(error)[:20],
)  # fmt: skip
def test_a_full_disk_is_known_in_every_library(tmp_path: Path, error: Exception) -> None:
    def write() -> None:
        try:
            raise error
        except type(error) as met:
            raise ValueError("could not write") from met

    assert is_disk_full(error)
    with pytest.raises(hs.DiskFull, match=r"Cannot write in .*"), disk_full_in(tmp_path):
        write()


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), OSError("odd"), ValueError("space left")]
)
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error.args[-1])), disk_full_in(tmp_path):
        raise error


def test_the_message_says_what_is_free(tmp_path: Path) -> None:
    free = in_words(shutil.disk_usage(tmp_path).free).split(".")[0]
    said = f"No space left on device, {free}.* are free there"
    with pytest.raises(hs.DiskFull, match=said), disk_full_in(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_space_is_asked_for_before_work(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert abs(free_bytes(tmp_path / "not" / "yet") - free) < 2**30
    hs.require_space(tmp_path / "not" / "yet", free // 2, what="It")
    with pytest.raises(hs.DiskFull, match=r"^It needs .* TB in .*, and .* are free there") as met:
        hs.require_space(tmp_path, free + 10**15, what="It")
    assert "Free 1000.0 TB and run the same command again" in str(met.value)


def test_a_size_for_people() -> None:
    assert [in_words(n) for n in (0, 999, 1000, 26_112_000, 3.2e9, 5e15)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "26.1 MB", "3.2 GB", "5000.0 TB"),
    ]


def test_work_refuses_what_does_not_fit(store: hs.Store) -> None:
    spec = hs.EmbeddingSpec(id_prefix="c", inputs={"c": 1}, dim=2, shard_rows=4, keep_text=False)
    with store.embedding_work(spec) as work:
        assert work.missing_rows(10) == 10
        assert work.missing_rows(10, [0, 2]) == 6
        work.write_shard(0, list("abcd"), np.ones((4, 2), np.float32))
        assert work.missing_rows(10) == 6
        assert work.shard_bytes(0) == (work.path / "vectors-00000.parquet").stat().st_size
        with pytest.raises(hs.DiskFull, match=f"Making embeddings {spec.id} needs 1000.0 TB"):
            work.require_space(10**15)
    assert store.shards_done(spec) == 1
