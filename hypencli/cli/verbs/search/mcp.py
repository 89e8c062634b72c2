"""``hype mcp``: tools for an agent, over standard input and output."""

from __future__ import annotations

from typing import Annotated

import typer

from hypencli.cli.options import (
    DeviceOption,
    EmbeddingsOption,
    JsonOption,
    ModelOption,
    StoreOption,
    TrustOption,
    open_store,
)


def mcp(
    model: ModelOption = None,
    embeddings: EmbeddingsOption = None,
    engine: Annotated[
        str, typer.Option("--engine", help="The engine of questions that name none.")
    ] = "exact",
    device: DeviceOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Offer the store to an agent by the Model Context Protocol.

    It speaks over standard input and output.

    The tools are search, get_document, list_runs, compare_runs and sql; none changes the store.
    `hype serve` offers them over HTTP, at /mcp. With --json, an error before the start is JSON.

    Examples:
        hype mcp

        hype mcp --store study --model hyper --engine guided
    """
    from hypencli.packages import require_packages

    require_packages(["fastapi", "prometheus_client", "mcp"], "A server of tools")
    from hypencli.serve.settings import Settings, check_settings
    from hypencli.serve.tools import run_stdio

    settings = Settings(
        store=open_store(store).root,
        model=model,
        embeddings=embeddings,
        engine=engine,
        device=device,
        trust_code=trust_code,
    )
    check_settings(settings)
    run_stdio(settings)
