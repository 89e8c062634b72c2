"""``hype search``: search a query set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    BackboneOption,
    CorpusOption,
    DeviceOption,
    EmbeddingsOption,
    IdKeyOption,
    JsonOption,
    ModelOption,
    NameOption,
    PoolingOption,
    QueryLengthOption,
    RankingDepthOption,
    RunMeasuresOption,
    StoreOption,
    TextKeyOption,
    TrustOption,
    default_device,
    open_store,
    split_names,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_name_not_given, escape, seconds, show
from hypencli.cli.verbs.compare.eval import draw_evaluated
from hypencli.cli.verbs.search.search_options import (
    AgainOption,
    ApproxOption,
    BudgetOption,
    CheckOption,
    EngineOption,
    FirstEngineOption,
    FirstKOption,
    FirstOption,
    RecallOption,
    RerankListsOption,
    RerankOption,
    ScoreDtypeOption,
    SettingsOption,
    WidthOption,
    engine_spec,
)
from hypencli.errors import UsageError
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.search.options import BoundSummary, Check, FirstPassSummary, Searched
    from hypencli.ops.search.two_stages import SearchedTwice


def search(
    queries: Annotated[
        str | None,
        typer.Argument(
            help="A JSONL, TSV or CSV file (.gz too), a BEIR folder, an ir_datasets id, a dataset "
            "of `hype data prepare`, PREFIX:NAME of an installed source, or - for standard input.",
            show_default="the store's default, else the encoded dataset's own",
        ),
    ] = None,
    k: RankingDepthOption = 1000,
    model: ModelOption = None,
    embeddings: EmbeddingsOption = None,
    corpus: CorpusOption = None,
    name: NameOption = None,
    qrels: Annotated[
        str | None,
        typer.Option(help="Judgements to evaluate with.", show_default="the queries' own"),
    ] = None,
    measures: RunMeasuresOption = None,
    exclude_same_id: Annotated[
        bool,
        typer.Option("--exclude-same-id", help="Leave out the document with the id of the query."),
    ] = False,
    approx: ApproxOption = False,
    engine: EngineOption = None,
    recall: RecallOption = None,
    budget: BudgetOption = None,
    settings: SettingsOption = None,
    check: CheckOption = None,
    again: AgainOption = False,
    rerank: RerankOption = None,
    rerank_lists: RerankListsOption = None,
    first: FirstOption = None,
    first_k: FirstKOption = 1000,
    first_engine: FirstEngineOption = "exact",
    query_max_length: QueryLengthOption = 64,
    width: WidthOption = None,
    batch_queries: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Queries to score in one pass over the corpus.",
            show_default="as many as fit in 1 GiB",
        ),
    ] = None,
    dtype: ScoreDtypeOption = "float32",
    device: DeviceOption = None,
    id_key: IdKeyOption = None,
    text_key: TextKeyOption = None,
    backbone: BackboneOption = None,
    pooling: PoolingOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Search a query set and keep the run in the store.

    If judgements of the queries are known, the run is evaluated with them. Exact search scores
    every document. Where the machine computes int8 or bfloat16 faster, the first pass uses that,
    and float32 then confirms the ranking within an error bound. Approximate search (--approx)
    scores only some documents. --check measures what either misses, and --again compares a stored
    run with a new search.

    Examples:
        hype search --k 1000

        hype search --approx --k 1000 --check 50

        hype search -o scan=float32 --again

        hype search --engine graph -o preset=efficient-2

        hype search --engine bm25 --name bm25

        hype search --rerank bm25 --k 100

        hype search --first my-bi-encoder --first-k 500

        hype search questions.tsv --corpus docs.jsonl --name first-try

        hype search beir/scifact/test --qrels beir/scifact/test --measures "nDCG@10 R@100"
    """
    from hypencli.data.queries import open_queries
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.models import ModelSource
    from hypencli.ops.recorded_places import default_queries
    from hypencli.ops.search.options import Output, Scoring, SearchOptions, Target
    from hypencli.ops.search.run import search as run
    from hypencli.ops.transfer.runs import import_lists

    opened = open_store(store)
    if rerank_lists is not None:
        if rerank is not None:
            raise UsageError("--rerank and --rerank-lists exclude each other.")
        rerank = import_lists(opened, rerank_lists)
    named = engine_spec(
        approx=approx,
        engine=engine,
        settings=None if first else settings,
        budget=budget,
        recall=recall,
        rerank=rerank,
    )
    options = SearchOptions(
        k=k,
        exclude_same_id=exclude_same_id,
        engine=named,
        target=Target(embeddings, dataset_place(opened.root, corpus)),
        scoring=Scoring(
            query_max_length, width, dtype, default_device(device, opened), batch_queries
        ),
        output=Output(
            name, dataset_place(opened.root, qrels), split_names(measures) or None, check, again
        ),
    )
    source = ModelSource(model, backbone=backbone, pooling=pooling, trust_code=trust_code)
    queries = dataset_place(opened.root, queries or default_queries(opened))
    asked = None
    if queries is not None:
        asked = open_queries(
            queries, id_key=id_key, text_key=text_key, judged_by=options.output.qrels
        )
    if first is None:
        show(run(opened, asked, source, options, progress()), _draw_searched, as_json=json)
        return
    from hypencli.ops.search.two_stages import first_stage, search_in_two_stages

    if named.name != "exact" or named.options or recall is not None:
        raise UsageError(
            f"--first reranks the results of a first stage. It excludes the engine {named.name} "
            "and its options.",
            hint="For the first stage, --first-engine sets the engine, and -o its options.",
        )
    stage = first_stage(
        ModelSource(first, trust_code=trust_code),
        engine_spec(engine=first_engine, settings=settings),
        k=first_k,
    )
    both = search_in_two_stages(opened, asked, source, stage, options, progress())
    show(both, _draw_both, as_json=json)


def _draw_both(console: Console, done: SearchedTwice) -> None:
    _draw_searched(console, done.first)
    console.print()
    _draw_searched(console, done.second)


def _draw_searched(console: Console, done: Searched) -> None:
    verb = "Searched again" if done.again else "Had searched" if done.existing else "Searched"
    width = "" if done.width is None else f", width={done.width}"
    by = "" if done.model is None else f" with {escape(done.model)}"
    console.print(
        f"{verb} {done.n_documents:,} documents of {escape(done.corpus)} for {done.n_queries:,} "
        f"queries{by} ({done.engine}, k={done.k}{width})."
    )
    parts = done.seconds
    selection_time = f"selection {seconds(parts.selection)}, " if parts.selection else ""
    before = done.existing and not done.again
    time = "Nothing was computed now; that search took" if before else "Time:"
    console.print(
        f"{time} {seconds(parts.total)}: query encoding {seconds(parts.query_encoding)}, "
        f"{selection_time}"
        f"scoring {seconds(parts.scoring)}, top-k {seconds(parts.topk)}, "
        f"writing {seconds(parts.writing)}."
    )
    if done.n_cut:
        console.print(
            f"{done.n_cut:,} of {done.n_queries:,} queries were cut after "
            f"{done.query_max_length:,} tokens; --query-max-length N reads more."
        )
    if done.evaluations is not None and done.engine != "exact":
        share = done.evaluations.mean / max(1, done.n_documents)
        console.print(
            f"q-net evaluations a query: {done.evaluations.mean:,.0f} ({share:.1%} of the corpus; "
            f"from {done.evaluations.min:,} to {done.evaluations.max:,})."
        )
    if done.recall_bound is not None:
        draw_bounds(console, done.recall_bound, done.n_queries)
    if done.scan is not None:
        _draw_scan(console, done.scan, done.n_queries)
    if done.check is not None:
        _draw_check(console, done.check)
    if done.again is not None:
        _draw_again(console, done.again)
        return
    console.print(f"Run: {escape(done.name or done.run)}" + (f" ({done.run})" if done.name else ""))
    draw_name_not_given(console, done.name_not_given, done.name or done.run)
    if done.evaluation is not None:
        draw_evaluated(console, done.evaluation)
    else:
        console.print(f"Next: hype eval {escape_shell(done.name or done.run)} --qrels FILE")


def draw_bounds(console: Console, bound: BoundSummary, n_queries: int) -> None:
    """Print the bounds on the recall of the queries."""
    console.print(
        f"Recall of each query by its bound: at least {bound.min:.4f}, mean {bound.mean:.4f}. The "
        f"bound should hold for {bound.confidence:.0%} of the queries; {bound.exact:,} of "
        f"{n_queries:,} were searched exactly."
    )


def _draw_scan(console: Console, scan: FirstPassSummary, n_queries: int) -> None:
    """Print how many documents the first pass left to float32."""
    ends = "checked by an error bound" if scan.certified else "unchecked"
    way = f"in {scan.dtype}".replace("in surrogate", "by surrogates")
    way = way.replace("and surrogate", "and by surrogates")
    console.print(
        f"First pass {way}, {ends}: {scan.rescored.mean:,.0f} documents a query scored "
        f"again in float32 (at most {scan.rescored.max:,}); assumed error of a score: up to "
        f"{scan.bound:.2g}."
    )
    if scan.certified:
        wider = f", by up to {scan.added:,} documents" if scan.widened else ""
        console.print(
            f"  widened for {scan.widened:,} of {n_queries:,} queries{wider}; "
            f"{scan.fell_back:,} searched in float32 throughout."
        )
    if scan.risk:
        console.print(
            f"  Of the best documents, {scan.risk:g} a query may be expected to be missing."
        )


def _draw_again(console: Console, again: Check) -> None:
    """Print what a repeated search and the stored run share."""
    shared = ", ".join(f"@{depth} {share:.4f}" for depth, share in again.recall.items())
    console.print(f"Documents shared with run {again.against}: {shared}.")
    _draw_identical(console, again)


def _draw_identical(console: Console, check: Check) -> None:
    """Print how many rankings are the same, and which are not."""
    if check.identical is None:
        return
    console.print(f"  {check.identical:,} of {check.n_queries:,} rankings are the same.")
    if check.different:
        named = ", ".join(escape(query_id) for query_id in check.different)
        more = check.n_queries - check.identical - len(check.different)
        console.print(f"  Different: {named}" + (f", and {more:,} more" if more else "") + ".")


def _draw_check(console: Console, check: Check) -> None:
    """Print the recall of a search, and the measures of the exact one."""
    recalls = ", ".join(f"@{depth} {recall:.4f}" for depth, recall in check.recall.items())
    of_what = f"run {check.against}" if check.against else "exact search"
    console.print(f"Recall of {of_what}, {check.n_queries:,} queries: {recalls}.")
    for name, values in check.measures.items():
        change = values["approximate"] - values["exact"]
        console.print(
            f"  {escape(name)}: {values['approximate']:.4f}, exact {values['exact']:.4f} "
            f"({change or 0.0:+.4f})"
        )
    if check.different or check.identical == check.n_queries:
        _draw_identical(console, check)
