"""``hype serve``: answer questions over HTTP."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    DeviceOption,
    EmbeddingsOption,
    JsonOption,
    ModelOption,
    StoreOption,
    TokenOption,
    TrustOption,
    open_store,
    read_token,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, show
from hypencli.cli.verbs.search.search_options import named_values
from hypencli.errors import UsageError
from hypencli.escaping import escape_line

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.serve.settings import RequestLimits, Settings

_WHO = "Who may ask"


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers.

    Attributes:
        url: Its address.
        store: The store that it answers from.
    """

    url: str
    store: str


def serve(
    model: ModelOption = None,
    embeddings: EmbeddingsOption = None,
    engine: Annotated[
        str, typer.Option("--engine", help="The engine of questions that name none.")
    ] = "exact",
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="The address to listen at. 0.0.0.0 is reached from other machines: use --token.",
            rich_help_panel=_WHO,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="The port; 0 takes a free one.")
    ] = 8080,
    token: TokenOption = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            help="A host name by which clients reach the server. Repeat it for more.",
            show_default="localhost and the name of this machine",
            rich_help_panel=_WHO,
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            "--origin",
            help="A web site whose pages may ask, such as https://example.org. Repeat it for more.",
            show_default="the server's own page",
            rich_help_panel=_WHO,
        ),
    ] = None,
    qrels: Annotated[
        list[str] | None,
        typer.Option(
            "--qrels",
            help="Judgements whose grades the page shows: a file or a dataset. Repeat it for more.",
            show_default="those of prepared datasets",
        ),
    ] = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Answer read-only SQL over the catalog too.")
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            metavar="NAME=VALUE",
            help="A limit of requests, such as k=100. docs/serving.md lists them.",
            show_default=False,
        ),
    ] = None,
    log_queries: Annotated[
        bool, typer.Option("--log-queries", help="Write questions to the log.")
    ] = False,
    device: DeviceOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Answer questions over HTTP; models and vectors stay loaded.

    Examples:
        hype serve

        hype serve --engine guided --port 8081

        hype serve --host 0.0.0.0 --token secret.txt --name search.example.org
    """
    from hypencli.packages import require_packages

    require_packages(["fastapi", "uvicorn", "prometheus_client", "mcp"], "A server")
    from hypencli.serve.run import log_to, serve
    from hypencli.serve.settings import Settings, check_settings

    opened = open_store(store)
    settings = Settings(
        store=opened.root,
        model=model,
        embeddings=embeddings,
        engine=engine,
        device=device,
        host=host,
        port=port,
        token=None if token is None else read_token(token),
        hosts=tuple(one.lower() for one in name or ()),
        origins=tuple(one.rstrip("/") for one in origin or ()),
        qrels=tuple(qrels or ()),
        sql=sql,
        log_queries=log_queries,
        trust_code=trust_code,
        limits=parse_limits(limit),
    )
    check_settings(settings)
    _tell_open(settings)
    handler = logging.StreamHandler()
    handler.setFormatter(_Line("%(asctime)s %(message)s"))
    log_to(handler)
    serve(
        settings,
        lambda url: show(Serving(url, str(opened.root)), _draw_serving, as_json=json),
    )


def _tell_open(settings: Settings) -> None:
    """Tell who may ask, where that is everybody."""
    from hypencli.serve.guard import is_loopback

    if settings.token is None and not is_loopback(settings.host):
        progress().message(
            f"WARNING: everybody who reaches {settings.host} can read this store and use this "
            "machine. --token FILE asks for a secret."
        )


def parse_limits(texts: list[str] | None) -> RequestLimits:
    """Parse limits of requests, ``NAME=VALUE`` each.

    Raises:
        UsageError: There is no such limit, or its value is no number above 0.
    """
    from dataclasses import fields, replace

    from hypencli.errors import did_you_mean
    from hypencli.serve.settings import RequestLimits

    limits = RequestLimits()
    known = {field.name for field in fields(limits)}
    for name, text in named_values(
        texts, option="--limit", example="k=100", listed_by="docs/serving.md"
    ).items():
        if name not in known:
            raise UsageError(f"There is no limit {name!r}.", hint=did_you_mean(name, known))
        kind = type(getattr(limits, name))
        try:
            value = kind(text)
        except ValueError:
            value = kind(0)
        if not 0 < value < 2**40:
            raise UsageError(f"--limit {name} is {text}; a number above 0 was expected.")
        limits = replace(limits, **{name: value})
    return limits


class _Line(logging.Formatter):
    """One line a message: what it quotes cannot imitate another one."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        text = super().format(record)
        return (
            "\n".join(map(escape_line, text.splitlines())) if record.exc_info else escape_line(text)
        )


def _draw_serving(console: Console, serving: Serving) -> None:
    console.print(f"Serving {escape(serving.store)} at {serving.url} - Ctrl-C ends it.")
