"""``hype calibrate``: which setting of an engine has which recall."""

from __future__ import annotations

import json as json_format
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    StoreOption,
    TrustOption,
    chosen_device,
    open_store,
)
from hypencli.cli.render import progress, safe, show
from hypencli.cli.search import (
    CorpusOption,
    EmbeddingsOption,
    QueryLengthOption,
    ScoreDtypeOption,
    WidthOption,
)
from hypencli.cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.calibrate import Calibrated

SampleOption = Annotated[
    int, typer.Option("--sample", min=2, help="Queries drawn at random and searched.")
]


def calibrate(
    queries: Annotated[
        str | None,
        typer.Argument(
            help="Where queries are drawn from, as for hype search.",
            show_default="the store's default, else the encoded dataset's own",
        ),
    ] = None,
    engine: Annotated[
        Literal["guided", "graph"], typer.Option(help="The engine that is measured.")
    ] = "guided",
    model: ModelOption = None,
    embeddings: EmbeddingsOption = None,
    corpus: CorpusOption = None,
    graph: Annotated[
        str | None, typer.Option(help="graph: the graph, by name or id.", show_default="found")
    ] = None,
    sample: SampleOption = 64,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    query_max_length: QueryLengthOption = 64,
    width: WidthOption = None,
    dtype: ScoreDtypeOption = "float32",
    device: DeviceOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Measure an approximate engine against exact search, for `hype search --recall`.

    Each of the sampled queries is searched exactly once, and at every setting of the engine for
    10, 100 and 1,000 documents. The curve is kept.

    Examples:
        hype calibrate

        hype calibrate questions.tsv --engine graph --sample 32
    """
    from hypencli.data.queries import open_queries
    from hypencli.ops.calibrate import CalibrateOptions
    from hypencli.ops.calibrate import calibrate as measure
    from hypencli.ops.datasets import dataset_place
    from hypencli.ops.models import ModelSource
    from hypencli.ops.search_records import SearchOptions

    opened = open_store(store)
    options = CalibrateOptions(
        engine=engine,
        n_queries=sample,
        seed=seed,
        search=SearchOptions(
            embeddings=embeddings,
            corpus=dataset_place(opened.root, corpus),
            graph=graph,
            query_max_length=query_max_length,
            width=width,
            dtype=dtype,
            device=chosen_device(device, opened),
        ),
    )
    given = queries or opened.defaults.get("queries")
    asked = None if given is None else open_queries(dataset_place(opened.root, given))
    done = measure(opened, asked, ModelSource(model, trust_code=trust_code), options, progress())
    show(done, draw_calibrated, as_json=json)


def draw_calibrated(console: Console, done: Calibrated) -> None:
    """The curve of a calibration, a row a setting."""
    verb = "Already measured" if done.existing else "Measured"
    print_table(
        f"{verb}: {done.engine}, {safe(done.model)} on {safe(done.corpus)}, "
        f"{done.n_queries} queries",
        ("k", "setting", "recall", "±", "evaluations", "ms"),
        [
            (
                point.k,
                _shown(point.setting),
                point.recall,
                point.recall_error,
                round(point.evaluations),
                round(point.milliseconds, 2),
            )
            for point in done.curve
        ],
    )
    console.print(f"Calibration: {done.calibration}")
    engine = "--approx" if done.engine == "guided" else f"--engine {done.engine}"
    of = f"--model {safe(done.model)} --embeddings {safe(done.embeddings)}"
    console.print(f"Next: hype search QUERIES {of} {engine} --recall 0.95", soft_wrap=True)


def _shown(setting: str) -> str:
    parsed = json_format.loads(setting)
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in parsed.items())


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(calibrate)
