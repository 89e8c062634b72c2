"""``hype query``: ask one question, here or of a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    CorpusOption,
    DeviceOption,
    EmbeddingsOption,
    JsonOption,
    ModelOption,
    QueryLengthOption,
    RankingDepthOption,
    StoreOption,
    TokenOption,
    TrustOption,
    default_device,
    open_store,
    read_token,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, seconds, show
from hypencli.cli.verbs.search.search_options import (
    ApproxOption,
    EngineOption,
    RecallOption,
    ScoreDtypeOption,
    SettingsOption,
    WidthOption,
    engine_spec,
    named_values,
)
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.answers import Answer

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="HYPE_SERVER",
        help="Ask the store of a server (hype serve) at this address.",
        show_default=False,
    ),
]


def query(
    text: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    k: RankingDepthOption = 10,
    model: ModelOption = None,
    embeddings: EmbeddingsOption = None,
    corpus: CorpusOption = None,
    approx: ApproxOption = False,
    engine: EngineOption = None,
    recall: RecallOption = None,
    settings: SettingsOption = None,
    query_max_length: QueryLengthOption = 64,
    width: WidthOption = None,
    dtype: ScoreDtypeOption = "float32",
    device: DeviceOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    json: JsonOption = False,
) -> None:
    """Ask one question and print the best documents with their text.

    A server (`hype serve`) has the model loaded: it answers at once.

    Examples:
        hype query "how do I read a CSV file as dictionaries?"

        hype query "treatment of sinusitis" --k 3 --json

        hype query "treatment of sinusitis" --server http://127.0.0.1:8080
    """
    if server is not None and _asks_server(server, store):
        refuse_here_only(
            corpus=corpus, device=device, trust_code=trust_code or None,
            dtype=None if dtype == "float32" else dtype,
        )  # fmt: skip
        settings_by_name = named_values(settings)
        name = "guided" if approx and engine is None else engine
        from hypencli.client import connect

        found = connect(server, token=None if token is None else read_token(token)).query(
            text, k=k, engine=name, model=model, embeddings=embeddings, recall=recall,
            query_max_length=query_max_length, width=width, **settings_by_name,
        )  # fmt: skip
        show(found, draw_answer, as_json=json)
        return
    from hypencli.ops.models import ModelSource
    from hypencli.ops.search.ask import open_asker
    from hypencli.ops.search.options import Scoring, SearchOptions, Target

    opened = open_store(store)
    options = SearchOptions(
        k=k,
        engine=engine_spec(approx=approx, engine=engine, settings=settings, recall=recall),
        target=Target(embeddings, corpus),
        scoring=Scoring(query_max_length, width, dtype, default_device(device, opened)),
    )
    asker = open_asker(opened, ModelSource(model, trust_code=trust_code), options, progress())
    show(asker.ask(text), draw_answer, as_json=json)


def draw_answer(console: Console, answer: Answer, *, width: int = 300) -> None:
    """Print ranked documents, each with the first ``width`` characters of its text."""
    by = "" if answer.model is None else f"model {escape(answer.model)}, "
    console.print(
        f"{escape(answer.question)}  ({answer.n_documents:,} documents, {by}"
        f"{seconds(answer.seconds)})"
    )
    if answer.is_cut:
        console.print(
            f"The question was cut after {answer.query_max_length:,} tokens; --query-max-length N "
            "reads more."
        )
    if answer.recall_bound is not None:
        console.print(
            f"Recall: at least {answer.recall_bound:.4f} by its bound, after "
            f"{answer.evaluations:,} q-net evaluations."
        )
    for hit in answer.hits:
        console.print(f"{hit.rank:>3}. {escape(hit.doc_id)}  {hit.score:.3f}")
        if hit.text is not None:
            text = " ".join(escape(hit.text).split())
            console.print(f"     {text[:width]}{'…' if len(text) > width else ''}")


def _asks_server(server: str, store: Path | None) -> bool:
    """Whether a server answers: what is typed counts more than what the environment sets.

    Raises:
        UsageError: Both are typed.
    """
    if store is None or str(store) == os.environ.get("HYPE_STORE"):
        return True
    if server == os.environ.get("HYPE_SERVER"):
        return False
    raise UsageError("--server and --store exclude each other: a server has a store of its own.")


def refuse_here_only(**options: object) -> None:
    """Refuse options that a server does not take from those who ask.

    Raises:
        UsageError: An option is set.
    """
    for name, value in options.items():
        if value is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} is not for questions to a server.",
                hint="Leave it out, or leave --server out.",
            )
