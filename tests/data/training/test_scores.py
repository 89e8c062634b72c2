from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hypencli.data.training.scores import UnfinishedScores
from hypencli.errors import DataError

IDENTITY = {"data": "0123", "teacher": "big"}
SCORES = np.array([0.1, -2.5, 1e-7, 3e8, 1 / 3], dtype=np.float32)


def test_scores_go_on_where_they_were(tmp_path: Path) -> None:
    path = tmp_path / "scores"
    for part in (SCORES[:2], SCORES[2:]):
        scores = UnfinishedScores(path, IDENTITY)
        with scores.appending(scores.count) as stream:
            scores.append(stream, part)
    again = UnfinishedScores(path, IDENTITY)
    assert again.count == 5
    np.testing.assert_array_equal(np.array(list(again.read()), dtype=np.float32), SCORES)
    assert next(iter(again.read())) == 0.1
    again.remove()
    assert UnfinishedScores(path, IDENTITY).count == 0


def test_every_length_that_a_kill_leaves_is_readable(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    scores = UnfinishedScores(whole, IDENTITY)
    with scores.appending(0) as stream:
        scores.append(stream, SCORES)
    content = whole.read_bytes()
    header = len(content) - SCORES.nbytes
    for length in range(len(content) + 1):
        path = tmp_path / f"cut-{length}"
        path.write_bytes(content[:length])
        cut = UnfinishedScores(path, IDENTITY)
        assert cut.count == max(0, length - header) // 4
        with cut.appending(cut.count) as stream:
            cut.append(stream, SCORES[cut.count :] if cut.count else SCORES)
        assert path.read_bytes() == content


def test_scores_of_another_command_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores"
    scores = UnfinishedScores(path, IDENTITY)
    with scores.appending(0) as stream:
        scores.append(stream, SCORES)
    with pytest.raises(DataError, match="unfinished scores of another command"):
        UnfinishedScores(path, {**IDENTITY, "teacher": "small"})
