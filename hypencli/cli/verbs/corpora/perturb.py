"""``hype perturb``: variants of a query set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    DeviceOption,
    IdKeyOption,
    JsonOption,
    OverwriteOption,
    StoreOption,
    TextKeyOption,
    store_around,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, first_few, show
from hypencli.data.variations import VariationKind
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.perturb import Perturbed


def perturb(
    queries: Annotated[
        str,
        typer.Argument(
            help="A JSONL or TSV file (.gz too), an ir_datasets id, a dataset of "
            "`hype data prepare`, or - for standard input.",
            show_default=False,
        ),
    ],
    kind: Annotated[
        VariationKind,
        typer.Option(help="How queries are changed.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write (JSONL).",
            show_default="NAME.KIND-SEED.jsonl in this folder",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random changes.")] = 0,
    changes: Annotated[
        int, typer.Option(min=1, help="Words to change in each query; paraphrase ignores it.")
    ] = 1,
    words: Annotated[
        Path | None,
        typer.Option(
            help="With synonym: your word list. Each line holds a word and its synonyms, separated "
            "by tabs.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="With paraphrase: your sequence-to-sequence model, a folder or a name on the hub.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(help="With paraphrase: text put before each query.")] = "",
    overwrite: OverwriteOption = False,
    id_key: IdKeyOption = None,
    text_key: TextKeyOption = None,
    device: DeviceOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write variants of queries, such as misspelt ones.

    A variant keeps the id of its query, so the judgements stay valid. The kinds misspelling,
    word-drop and ordering need nothing else; synonym needs a word list, paraphrase a model.
    `hype robustness` then shows how much each kind lowers the measures.

    Examples:
        hype perturb queries.jsonl --kind misspelling

        hype perturb beir/scifact/test --kind synonym --words synonyms.tsv --seed 1

        hype perturb queries.jsonl --kind paraphrase --model ../t5 --prefix "paraphrase: "
    """
    from hypencli.data.queries import open_queries
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.perturb import PerturbOptions
    from hypencli.ops.perturb import perturb as run

    options = PerturbOptions(
        kind=kind,
        seed=seed,
        changes=changes,
        words=words,
        model=model,
        prefix=prefix,
        device=device,
    )
    place = dataset_place(store_around(store), queries)
    asked = open_queries(place, id_key=id_key, text_key=text_key)
    done = run(asked, options, output=output, overwrite=overwrite, progress=progress())
    show(done, _draw_perturbed, as_json=json)


def _draw_perturbed(console: Console, done: Perturbed) -> None:
    console.print(
        f"Wrote {done.n_queries:,} queries to {done.path}, {done.n_changed:,} of them changed "
        f"({done.kind}, seed {done.seed})."
    )
    if done.unchanged:
        some = first_few(done.unchanged)
        console.print(f"{len(done.unchanged):,} queries have no word to change: {some}")
    for before, after in done.examples:
        console.print(f"  {escape(before)}\n  → {escape(after)}")
    console.print(
        f"Next: hype search {escape_shell(done.path)} --qrels QRELS --name {done.kind}, "
        f"then hype robustness BASE_RUN {done.kind}",
        soft_wrap=True,
    )
