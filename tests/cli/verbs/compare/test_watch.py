"""``hype report --watch``: the browser is opened at the view, and a signal ends the server."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file into which the browser of these tests writes its address.

    Python reads the variable ``BROWSER`` once in a process, so the file is one for all tests.
    """
    return tmp_path_factory.mktemp("browser") / "opened"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [([], "Leaderboards"), (["hyper-run", "plain-run", "--measures", "RR"], "Query has")],
    ids=["overview", "pair"],
)
def test_a_browser_is_opened_at_the_view(
    hype: Hype,
    finished_study: Path,
    opened: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    shown: str,
) -> None:
    pages: list[str] = []
    opened.unlink(missing_ok=True)
    program = f"import sys; open({str(opened)!r}, 'w').write(sys.argv[1])"
    monkeypatch.setenv("BROWSER", f'{sys.executable} -c "{program}" %s')

    def look() -> None:
        end = time.monotonic() + 60
        try:
            while not (opened.exists() and opened.read_text()) and time.monotonic() < end:
                time.sleep(0.05)
            with urllib.request.urlopen(opened.read_text(), timeout=30) as response:
                pages.append(response.read().decode())
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=look)
    watcher.start()
    outcome = hype("report", *arguments, "--watch", "--store", finished_study)
    watcher.join()
    assert outcome.code == 128 + signal.SIGINT
    assert f" at {opened.read_text()}" in outcome.out.replace("'", "")
    assert shown in pages[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["hyper-run", "--watch"], "--watch takes two runs and one measure"),
        (["--watch", "--measures", "RR,P@5"], "not 2 measures"),
        (["--watch", "--sql", "SELECT 1"], "exclude each other"),
        (["--watch", "--format", "csv"], "--format and --watch exclude each other"),
        (["--watch", "--qrels", "nowhere.txt"], "nowhere.txt"),
        (["hyper-run", "none", "--watch"], "none"),
    ],
    ids=["run", "measures", "sql", "format", "qrels", "unknown"],
)
def test_what_cannot_be_watched_is_told(
    hype: Hype, finished_study: Path, options: list[str], says: str
) -> None:
    outcome = hype("report", *options, "--store", finished_study)
    assert outcome.code in (2, 4, 5)
    assert says in outcome.err
