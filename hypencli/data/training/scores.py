"""Scores of a long job in the order of the rows, so that a killed job goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hypencli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BYTES = 4


class UnfinishedScores:
    """A file of float32 scores that grows at its end; any part of it from the start is whole.

    The first line says, in JSON, what the scores are of. The numbers follow, little-endian.

    Args:
        path: The file; it need not be there.
        identity: What decides the scores: data, teacher, settings.

    Raises:
        DataError: The file holds scores of another identity.
    """

    def __init__(self, path: Path, identity: Mapping[str, object]) -> None:
        self.path = path
        self._header = json.dumps(identity, sort_keys=True).encode("ascii") + b"\n"
        if path.exists():
            self._check()

    def _check(self) -> None:
        with self.path.open("rb") as stream:
            header = stream.read(len(self._header))
        # A header cut short is all that a job killed at once leaves: nothing is lost with it.
        if header != self._header and not self._header.startswith(header):
            raise DataError(
                f"{self.path} holds the unfinished scores of another command.",
                hint="Finish that one, or remove the file, or add `overwrite=True`.",
            )

    @property
    def count(self) -> int:
        """Scores that are there."""
        if not self.path.exists():
            return 0
        return max(0, self.path.stat().st_size - len(self._header)) // _BYTES

    @contextmanager
    def appending(self, count: int) -> Iterator[IO[bytes]]:
        """Open for :meth:`append`, the first ``count`` scores kept."""
        size = len(self._header) + count * _BYTES
        if not self.path.exists() or self.path.stat().st_size < len(self._header):
            self.path.write_bytes(self._header)
        with self.path.open("rb+") as stream:
            stream.truncate(size)
            stream.seek(size)
            yield stream

    def append(self, stream: IO[bytes], scores: npt.NDArray[np.float32]) -> None:
        """Write scores behind those that are there; a kill after this does not lose them."""
        stream.write(scores.astype("<f4").tobytes())
        stream.flush()

    def read(self) -> Iterator[float]:
        """The scores, each as the shortest number that is the same float32."""
        import numpy as np

        with self.path.open("rb") as stream:
            stream.seek(len(self._header))
            while block := stream.read(_BYTES * 65_536):
                yield from (float(str(score)) for score in np.frombuffer(block, dtype="<f4"))

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)
