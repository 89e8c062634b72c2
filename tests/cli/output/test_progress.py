"""Progress where there is no terminal: a line now and then."""

from __future__ import annotations

import sys

import pytest

from hypencli.cli.output import progress as module
from hypencli.cli.output.progress import LINE_SECONDS, LineTask, TerminalProgress


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_each_half_minute_with_rate_and_time_left() -> None:
    clock, lines = Clock(), list[str]()
    task = LineTask("encode", 1_000, "documents", lines.append, clock)
    task.note("shard 0")
    for second in range(1, 91):
        clock.now = float(second)
        task.advance(4)
    assert lines == [
        "encode: 120 of 1,000 documents, 4.0 documents/s, 3 min 40 s left, shard 0",
        "encode: 240 of 1,000 documents, 4.0 documents/s, 3 min 10 s left, shard 0",
        "encode: 360 of 1,000 documents, 4.0 documents/s, 2 min 40 s left, shard 0",
    ]


def test_a_total_may_be_unknown_or_told_later() -> None:
    clock, lines = Clock(), list[str]()
    task = LineTask("search", None, "scores", lines.append, clock)
    clock.now = LINE_SECONDS
    task.advance(3_000)
    task.set_total(9_000)
    clock.now = 2 * LINE_SECONDS
    task.advance(3_000)
    assert lines == [
        "search: 3,000 scores, 100 scores/s",
        "search: 6,000 of 9,000 scores, 100 scores/s, 30.0 s left",
    ]


def test_without_a_terminal_lines_go_to_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    assert not sys.stderr.isatty()
    with TerminalProgress().task("encode", total=2, unit="documents") as task:
        task.note("\x1b[2J")
        task.advance()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("encode: 1 of 2 documents, ")
    assert "\x1b" not in captured.err


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress().task("encode", total=2, unit="documents") as task:
        task.advance(2)
    assert capsys.readouterr().err == ""
