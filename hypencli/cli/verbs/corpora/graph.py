"""``hype graph``: the nearest neighbours of every document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    CorpusOption,
    DeviceOption,
    JsonOption,
    MetricOption,
    ModelOption,
    NameOption,
    SampleOption,
    StoreOption,
    TrustOption,
    default_device,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_name_not_given, escape, seconds, show
from hypencli.cli.verbs.search.calibrate import draw_calibrated
from hypencli.cli.verbs.search.search_options import named_values
from hypencli.ops.graphs.registry import AUTO, BUILDERS, DescribedBuilder, describe_builders

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.graphs.build import BuiltGraph
    from hypencli.ops.search.measure_calibration import BuiltAndCalibrated


def graph(
    embeddings: Annotated[
        str | None,
        typer.Argument(
            help="The embedding set, by name or id.", show_default="the only one that fits"
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Neighbours of each document.")] = 100,
    metric: MetricOption = "l2",
    builder: Annotated[
        str,
        typer.Option(
            metavar="|".join((AUTO, *BUILDERS)),
            help="How to find the neighbours. auto: exact up to 100,000 documents; above, "
            "nn-descent, or hnsw where nn-descent is not installed. Installed packages can offer "
            "more.",
        ),
    ] = AUTO,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--option",
            metavar="NAME=VALUE",
            help="An option of the builder, such as trees=16; --builders lists them. Repeat it for "
            "more.",
            show_default=False,
        ),
    ] = None,
    builders: Annotated[
        bool, typer.Option("--builders", help="List the builders and their options; build nothing.")
    ] = False,
    name: NameOption = None,
    model: ModelOption = None,
    corpus: CorpusOption = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Seed of approximate builders and of the sample that measures recall."
        ),
    ] = 0,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="After the build, measure recall and cost of guided and of graph search, as "
            "`hype calibrate` does.",
        ),
    ] = False,
    queries: Annotated[
        str | None,
        typer.Option(
            help="With --calibrate: the query set to draw from.",
            show_default="the store's default, else the encoded dataset's own",
        ),
    ] = None,
    sample: SampleOption = 64,
    device: DeviceOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Find the nearest neighbours of every document.

    `hype search --engine graph` needs them. A repeated command continues an interrupted build.

    Examples:
        hype graph

        hype graph docs --k 50 --metric ip

        hype graph --corpus msmarco-passage --builder nn-descent -o candidates=100 -o trees=16

        hype graph --builders

        hype graph --calibrate --queries questions.tsv
    """
    from hypencli.data.queries import open_queries
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.graphs.build import build_graph
    from hypencli.ops.graphs.options import GraphOptions
    from hypencli.ops.models import ModelSource
    from hypencli.ops.recorded_places import default_queries
    from hypencli.ops.search.measure_calibration import BuiltAndCalibrated, CalibrateOptions
    from hypencli.ops.search.measure_calibration import calibrate as measure
    from hypencli.ops.search.options import EngineSpec, Scoring, Target
    from hypencli.ops.select import choose_any_embeddings

    if builders:
        show({"builders": describe_builders()}, _draw_builders, as_json=json)
        return
    opened = open_store(store)
    graph_options = GraphOptions(
        k=k,
        metric=metric,
        builder=builder,
        options=named_values(options, listed_by="`hype graph --builders`"),
        device=default_device(device, opened),
        seed=seed,
        name=name,
    )
    source = None if model is None else ModelSource(model)
    embedding_set = choose_any_embeddings(
        opened, named=embeddings, model=source, corpus=corpus, progress=progress()
    )
    built = build_graph(opened, embedding_set, graph_options, progress())
    if not calibrate:
        return show(built, _draw_built, as_json=json)
    place = dataset_place(opened.root, queries or default_queries(opened))
    asked = None if place is None else open_queries(place)
    target, scoring = Target(embedding_set.id), Scoring(device=graph_options.device)
    measured = [
        measure(
            opened,
            asked,
            ModelSource(model, trust_code=trust_code),
            CalibrateOptions(engine, n_queries=sample, target=target, scoring=scoring),
            progress(),
        )
        for engine in (EngineSpec("guided"), EngineSpec("graph", {"graph": built.graph}))
    ]
    show(BuiltAndCalibrated(built, measured), _draw_both, as_json=json)


def _draw_builders(console: Console, listed: Mapping[str, list[DescribedBuilder]]) -> None:
    for builder in listed["builders"]:
        console.print(f"{escape(builder.name)}: {escape(builder.help)}")
        for one in builder.options:
            console.print(
                escape(f"  -o {one.name}={one.default}  {one.help} ({one.value})"), soft_wrap=True
            )


def _draw_both(console: Console, done: BuiltAndCalibrated) -> None:
    _draw_built(console, done.graph)
    for one in done.calibrations:
        draw_calibrated(console, one)


def _draw_built(console: Console, done: BuiltGraph) -> None:
    verb = "Already there" if done.existing else "Made"
    display_name = f"{escape(done.name)} ({done.graph})" if done.name else done.graph
    console.print(
        f"{verb}: {display_name}, {done.k} neighbours by {done.metric} for each of "
        f"{done.n_documents:,} documents of {escape(done.corpus)}."
    )
    draw_name_not_given(console, done.name_not_given, done.name or done.graph)
    if not done.existing:
        console.print(f"Builder: {done.builder}, in {seconds(done.seconds)}.")
    if done.recall is not None:
        console.print(f"Recall of the exact neighbours, on a sample: {done.recall:.4f}.")
    if done.advice is not None:
        console.print(f"Warning: that is low; to find more, {done.advice} (-o NAME=VALUE).")
