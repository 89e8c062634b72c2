"""Store the scores of a long job in row order, so that a killed job can continue."""

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
    """File of float32 scores. Scores are appended, so after a kill the earlier ones are valid.

    The first line holds the identity as JSON. The scores follow in little-endian order.

    Args:
        path: The file. It need not exist.
        identity: Values that determine the scores: data, teacher, settings.

    Raises:
        DataError: The file holds scores with another identity.
    """

    def __init__(self, path: Path, identity: Mapping[str, object]) -> None:
        self.path = path
        self._header = json.dumps(identity, sort_keys=True).encode("ascii") + b"\n"
        if path.exists():
            self._check()

    def _check(self) -> None:
        with self.path.open("rb") as stream:
            header = stream.read(len(self._header))
        # A job that is killed at its start may leave an incomplete header, and no score is lost.
        if header != self._header and not self._header.startswith(header):
            raise DataError(
                f"{self.path} holds the unfinished scores of another command.",
                hint="Finish that one, or remove the file, or add `overwrite=True`.",
            )

    @property
    def count(self) -> int:
        """Number of scores in the file."""
        if not self.path.exists():
            return 0
        return max(0, self.path.stat().st_size - len(self._header)) // _BYTES

    @contextmanager
    def appending(self, count: int) -> Iterator[IO[bytes]]:
        """Open the file for :meth:`append`, and keep only the first ``count`` scores."""
        size = len(self._header) + count * _BYTES
        if not self.path.exists() or self.path.stat().st_size < len(self._header):
            self.path.write_bytes(self._header)
        with self.path.open("rb+") as stream:
            stream.truncate(size)
            stream.seek(size)
            yield stream

    def append(self, stream: IO[bytes], scores: npt.NDArray[np.float32]) -> None:
        """Append scores. A kill after this call does not lose them."""
        stream.write(scores.astype("<f4").tobytes())
        stream.flush()

    def read(self) -> Iterator[float]:
        """Yield the scores, each as the shortest decimal number with the same float32 value."""
        import numpy as np

        with self.path.open("rb") as stream:
            stream.seek(len(self._header))
            while block := stream.read(_BYTES * 65_536):
                yield from (float(str(score)) for score in np.frombuffer(block, dtype="<f4"))

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)
