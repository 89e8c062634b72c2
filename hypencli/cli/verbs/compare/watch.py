"""``hype report --watch``: the runs of a store in a browser, as they are made."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hypencli.cli.output.render import escape, show
from hypencli.errors import UsageError
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypestore import Store


@dataclass(frozen=True, slots=True)
class Watching:
    """A page that is served until the command ends.

    Attributes:
        url: Its address.
        store: The store that it shows.
    """

    url: str
    store: str


def watch(
    store: Store,
    runs: Sequence[str],
    qrels: str | None,
    measures: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Serve the page of a store at a free port, and open it in the browser of the user.

    Args:
        store: The project store.
        runs: Two runs to compare, or none for the overview of all.
        qrels: Judgements whose grades are shown.
        measures: At most one measure, by which runs are compared.
        as_json: Print the address as JSON.

    Raises:
        UsageError: One run is named, or more than two, or several measures.
    """
    from hypencli.packages import require_packages

    require_packages(["fastapi", "uvicorn", "prometheus_client", "mcp"], "A page that is watched")
    from hypencli.serve.run import serve
    from hypencli.serve.settings import Settings

    path = _path(store, runs, measures)
    settings = Settings(
        store=store.root, port=0, warm=False, qrels=() if qrels is None else (qrels,)
    )

    def started(address: str) -> None:
        url = f"{address}{path}"
        show(Watching(url, str(store.root)), _draw, as_json=as_json)
        # A browser may take a while to return, and the server must answer it meanwhile.
        threading.Thread(target=_open_browser, args=(url,), daemon=True).start()

    serve(settings, started)


def _path(store: Store, runs: Sequence[str], measures: Sequence[str]) -> str:
    """Return the view to open.

    Raises:
        UsageError: One run is named, or more than two, or several measures.
    """
    if len(runs) not in (0, 2) or len(measures) > 1:
        named = f"{len(runs)} runs" if len(measures) < 2 else f"{len(measures)} measures"
        raise UsageError(
            f"--watch takes two runs and one measure, or none of them, not {named}.",
            hint="hype report --watch, or hype report RUN_A RUN_B --watch",
        )
    if not runs:
        return "/runs"
    a, b = (store.get(run, kind="run").id for run in runs)
    fields = {"a": a, "b": b, **({"measure": measures[0]} if measures else {})}
    return f"/compare?{urlencode(fields)}"


def _open_browser(url: str) -> None:
    import webbrowser

    webbrowser.open(url)


def _draw(console: Console, watching: Watching) -> None:
    console.print(
        f"Watching {escape(watching.store)} at {escape_shell(watching.url)} - Ctrl-C ends it.",
        soft_wrap=True,
    )
