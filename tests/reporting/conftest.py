"""A report with something in every section, and a headless Chromium to look at it.

The browser is spoken to over its debugging pipe: no driver, no port, nothing to install but it.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hypencli.records import PairedTest
from hypencli.reporting.contents import (
    Artifact,
    Entry,
    Environment,
    HtmlReport,
    Leaderboard,
    Lineage,
    ModelCurves,
    MovedDocument,
    QueryDifference,
    RankedDocument,
    RunPair,
    SearchCost,
    SearchCosts,
)

MADE = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome")
_TIMEOUT_SECONDS = 60.0
_KEYS = {"Tab": 9, "Enter": 13, "Space": 32}


def find_chromium() -> str | None:
    """The first Chromium on the path."""
    return next((actual for name in NAMES if (actual := shutil.which(name))), None)


class Chromium:
    """One browser with one page.

    Attributes:
        console: What the page said to the console, and errors, as ``(level, text)``.
        requests: Addresses that the page asked for.
    """

    def __init__(self, program: str, profile: Path) -> None:
        self.console: list[tuple[str, str]] = []
        self.requests: list[str] = []
        self._next = 0
        self._buffer = b""
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # The browser reads commands from descriptor 3 and answers on 4; ours must not be either.
        theirs = [fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (to_browser, from_browser)]
        silent = os.open(os.devnull, os.O_WRONLY)
        actions = [(os.POSIX_SPAWN_DUP2, theirs[0], 3), (os.POSIX_SPAWN_DUP2, theirs[1], 4)]
        actions += [(os.POSIX_SPAWN_DUP2, silent, 1), (os.POSIX_SPAWN_DUP2, silent, 2)]
        arguments = [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={profile}"),
            "about:blank",
        ]
        self._pid = os.posix_spawn(program, arguments, os.environ, file_actions=actions)
        for one in (to_browser, from_browser, silent, *theirs):
            os.close(one)
        self._session = self._attach()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def _attach(self) -> str:
        targets = self.send("Target.getTargets", session=None)["targetInfos"]
        page = next(one for one in targets if one["type"] == "page")
        asked = {"targetId": page["targetId"], "flatten": True}
        return str(self.send("Target.attachToTarget", session=None, **asked)["sessionId"])

    def send(self, method: str, *, session: str | None = "page", **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._next += 1
        message: dict[str, Any] = {"id": self._next, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._next:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            read = os.read(self._in, 2**20) if ready else b""
            if not read:
                raise RuntimeError("The browser does not answer.")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.consoleAPICalled":
                self.console.append((params["type"], json.dumps(params["args"])))
            case "Runtime.exceptionThrown":
                self.console.append(("exception", json.dumps(params["exceptionDetails"])))
            case "Log.entryAdded":
                self.console.append((params["entry"]["level"], params["entry"]["text"]))
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])

    def open(self, page: Path, *, width: int = 1280, script: bool = True) -> None:
        """Open a file, at a width in CSS pixels, with or without its script."""
        self.console.clear()
        self.requests.clear()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        self.send("Page.navigate", url=page.absolute().as_uri())
        self.send("Page.bringToFront")
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while self.evaluate("document.readyState") != "complete":
            if time.monotonic() > deadline:
                raise RuntimeError(f"{page} is not read to its end.")
            time.sleep(0.02)

    def evaluate(self, expression: str) -> Any:
        """What an expression is on the page."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        actual = self.send("Runtime.evaluate", **asked)
        if "exceptionDetails" in actual:
            raise RuntimeError(json.dumps(actual["exceptionDetails"]))
        return actual["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key and let it go: ``Tab``, ``Enter``, ``Space``."""
        code = _KEYS[key]
        text = {"Enter": "\r", "Space": " "}.get(key, "")
        about = {"key": text if key == "Space" else key, "code": key}
        about |= {"windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code}
        kind = "keyDown" if text else "rawKeyDown"
        self.send("Input.dispatchKeyEvent", type=kind, text=text, **about)
        self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def media(self, **features: str) -> None:
        """Emulate media features, such as ``prefers_color_scheme="dark"``."""
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.send("Emulation.setEmulatedMedia", features=named)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """The page as it is seen, or the whole of it."""
        taken = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(taken["data"]))

    def close(self) -> None:
        """End the browser."""
        os.kill(self._pid, signal.SIGTERM)
        os.waitpid(self._pid, 0)
        os.close(self._out)
        os.close(self._in)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser; skips where none is installed (Debian: ``chromium-headless-shell``)."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"no Chromium on the path: {', '.join(NAMES)}")
    chromium = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def sample_report() -> Callable[..., HtmlReport]:
    """Makes a report; ``text`` is in every string that users or their data decide."""
    return _report


def _report(text: str = "", n_runs: int = 4) -> HtmlReport:
    return HtmlReport(
        store=f"study{text}",
        made=MADE,
        version="1.2.3",
        counts={"run": n_runs, "model": 1},
        leaderboards=(_board(text, n_runs),),
        pairs=(_pair(text),),
        costs=(_costs(text, n_runs),),
        curves=(_curves(text),),
        lineage=_lineage(text, n_runs),
        remarks={"leaderboards": (f"Left out{text}.",)},
    )


def _board(text: str, n: int) -> Leaderboard:
    """Values that a sort of text would put in another order, and one that is missing."""
    values = [0.9, 0.25, 0.125, None, *(i / 1000 for i in range(n))]
    entries = tuple(
        Entry(
            run=f"run-{i}",
            label=f"run {i}{text}",
            model=f"model{text}",
            engine="exact",
            values={"nDCG@10": values[i], "RR": 0.5},
            seconds=float(10**i % 997),
            evaluations=(f"eval-{i}",),
        )
        for i in range(n)
    )
    return Leaderboard(f"corpus{text}", f"qrels{text}", ("nDCG@10", "RR"), entries)


def _pair(text: str) -> RunPair:
    p_values = {"t": 0.5, "wilcoxon": 0.25, "randomisation": 0.00001}
    test = PairedTest("nDCG@10", 0.25, 0.5, 0.25, 2, 1, 7, 10, p_values, p_values)
    return RunPair(
        corpus=f"corpus{text}",
        qrels=f"qrels{text}",
        run_a="run-0",
        run_b="run-1",
        label_a=f"first{text}",
        label_b=f"second{text}",
        measure="nDCG@10",
        tests=(test,),
        verdict=f"second{text} is better.",
        differences=(0.75, 0.5, -0.25),
        n_queries=10,
        queries=tuple(_difference(i, text) for i in range(3)),
        has_grades=True,
        remarks=(f"Not at hand{text}.",),
    )


def _difference(i: int, text: str) -> QueryDifference:
    top = tuple(
        RankedDocument(rank, f"d{rank}{text}", f"a document{text}", grade, 3 - rank, 9.5, 8.5)
        for rank, grade in ((1, 2), (2, None))
    )
    return QueryDifference(
        query_id=f"q{i}{text}",
        text=f"a question{text}",
        value_a=0.25,
        value_b=(1.0, 0.75, 0.0)[i],
        top_a=top,
        top_b=top,
        moved=(MovedDocument(f"d1{text}", f"a document{text}", 2, 14, 3, 7.25, 9.25),),
        n_moved=12,
    )


def _costs(text: str, n: int) -> SearchCosts:
    searches = tuple(
        SearchCost(
            run=f"run-{i}",
            name=f"run {i}{text}",
            engine="graph",
            model=f"model{text}",
            searched=("model",),
            k=10,
            ms_per_query=10.0**i,
            ms_query_encoding=4.0,
            evaluations=100.0 * (i + 1),
            evaluations_share=0.01 * (i + 1),
            recall={10: 0.5 + i / (2 * n)},
            checked_queries=5,
            checked_against=None,
            fronts=("time", "evaluations"),
        )
        for i in range(n)
    )
    where = (f"machine{text}", "another")
    return SearchCosts(f"corpus{text}", f"queries{text}", 1000, 10, searches, where, (f"x{text}",))


def _curves(text: str) -> ModelCurves:
    points = tuple((step, 1.0 / step) for step in range(1, 50))
    curves = {"loss": points, f"validation.x{text}": points}
    return ModelCurves("model-0", f"model{text}", f"recipe{text}", curves, {"loss": 3})


def _lineage(text: str, n: int) -> Lineage:
    created: dict[str, Any] = {"created": MADE, "environment": 0, "device": f"cpu{text}"}
    about_run: dict[str, Any] = {"facts": (("k", 10),), "parents": ("model-0",), **created}
    runs = [Artifact("run", f"run-{i}", f"run {i}{text}", **about_run) for i in range(n)]
    model = Artifact(
        kind="model",
        id="model-0",
        label=f"model{text}",
        facts=(("recipe", f"tiny{text}"), ("steps", 1500), ("seconds", 12.25), ("source", None)),
        parents=("gone",),
        recipe=f"a = 1{text}",
        **created,
    )
    return Lineage((*runs, model), (Environment((("torch", f"2.0{text}"),)),))
