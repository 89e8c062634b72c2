"""``hype calibrate``: recall and cost of an engine at each of its settings."""

from __future__ import annotations

import json as json_format
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    CorpusOption,
    DeviceOption,
    EmbeddingsOption,
    JsonOption,
    ModelOption,
    QueryLengthOption,
    SampleOption,
    StoreOption,
    TrustOption,
    default_device,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, show
from hypencli.cli.output.tables import print_table
from hypencli.cli.verbs.search.search_options import (
    ScoreDtypeOption,
    SettingsOption,
    WidthOption,
    engine_spec,
)
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.search.measure_calibration import Calibrated


def calibrate(
    queries: Annotated[
        str | None,
        typer.Argument(
            help="The query set to draw from: whatever `hype search` takes.",
            show_default="the store's default, else the encoded dataset's own",
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="The engine to measure: guided, graph; `hype engines` lists all.")
    ] = "guided",
    settings: SettingsOption = None,
    model: ModelOption = None,
    embeddings: EmbeddingsOption = None,
    corpus: CorpusOption = None,
    sample: SampleOption = 64,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random draw.")] = 0,
    query_max_length: QueryLengthOption = 64,
    width: WidthOption = None,
    dtype: ScoreDtypeOption = "float32",
    device: DeviceOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Measure the recall of an approximate engine.

    Every sampled query is searched exactly, and then at each setting of the engine for the best
    10, 100 and 1,000 documents. The store keeps the curve. With it, `hype search --recall 0.95`
    takes the cheapest setting that reaches this recall.

    Examples:
        hype calibrate

        hype calibrate questions.tsv --engine graph --sample 32
    """
    from hypencli.data.queries import open_queries
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.models import ModelSource
    from hypencli.ops.recorded_places import default_queries
    from hypencli.ops.search.measure_calibration import CalibrateOptions
    from hypencli.ops.search.measure_calibration import calibrate as measure
    from hypencli.ops.search.options import Scoring, Target

    opened = open_store(store)
    options = CalibrateOptions(
        engine=engine_spec(engine=engine, settings=settings),
        n_queries=sample,
        seed=seed,
        target=Target(embeddings, dataset_place(opened.root, corpus)),
        scoring=Scoring(query_max_length, width, dtype, default_device(device, opened)),
    )
    query_set = queries or default_queries(opened)
    asked = None if query_set is None else open_queries(dataset_place(opened.root, query_set))
    done = measure(opened, asked, ModelSource(model, trust_code=trust_code), options, progress())
    show(done, draw_calibrated, as_json=json)


def draw_calibrated(console: Console, done: Calibrated) -> None:
    """Print the curve of a calibration, one row for each setting."""
    verb = "Already measured" if done.existing else "Measured"
    print_table(
        f"{verb}: {done.engine}, {escape(done.model)} on {escape(done.corpus)}, "
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
    engine = "--approx" if done.engine == "guided" else f"--engine {escape_shell(done.engine)}"
    of = f"--model {escape_shell(done.model)} --embeddings {escape_shell(done.embeddings)}"
    console.print(f"Next: hype search QUERIES {of} {engine} --recall 0.95", soft_wrap=True)


def _shown(setting: str) -> str:
    parsed = json_format.loads(setting)
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in parsed.items())
