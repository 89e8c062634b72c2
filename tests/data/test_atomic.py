"""Files outside a store are written by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from hypencli.data.atomic import only_one
from hypencli.errors import DataError, UsageError


def test_one_writes_and_the_lock_goes_with_it(tmp_path: Path) -> None:
    lock = tmp_path / ".out.lock"
    lock.touch()  # of a process that was killed
    with only_one(lock, "busy"):
        with pytest.raises(UsageError, match="busy"), only_one(lock, "busy"):
            pytest.fail("two at once")
        assert lock.exists()
    assert not lock.exists()


@pytest.mark.parametrize("name", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    number = getattr(errno, name)

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(DataError, match="Cannot lock") as caught, only_one(tmp_path / "a", "busy"):
        pytest.fail("not held")
    assert os.strerror(number) in caught.value.message
    assert "`output=PATH`" in str(caught.value.hint)
