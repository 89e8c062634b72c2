"""``hype show``: one artifact, or unfinished work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hypencli.cli.options import JsonOption, ReferenceArgument, StoreOption, open_store
from hypencli.cli.output.charts import draw_curves
from hypencli.cli.output.render import escape, number, show, size
from hypencli.cli.output.tables import print_table
from hypencli.cli.verbs.corpora.index import in_words

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.project import Shown, ShownWork

_SHOWN_PROVENANCE = ("hype", "python", "packages.torch", "git", "device", "seed")


def show_(
    reference: ReferenceArgument, store: StoreOption = None, json: JsonOption = False
) -> None:
    """Show one artifact: its origin, measures and curves.

    An unfinished training is shown with its phase (such as encoding passages), its curves so far
    and the process that works on it.

    Examples:
        hype show demo

        hype show my-run --json
    """
    from hypencli.ops.project import Shown
    from hypencli.ops.project import show as look
    from hypencli.ops.search.vector_index import described_indexes

    def draw(console: Console, shown: Shown | ShownWork) -> None:
        if isinstance(shown, Shown):
            _draw_shown(console, shown)
        else:
            _draw_work(console, shown)

    opened = open_store(store)
    shown = look(opened, reference)
    if isinstance(shown, Shown) and shown.manifest.kind == "embeddings":
        shown = replace(shown, indexes=described_indexes(opened, shown.manifest.id))
    show(shown, draw, as_json=json)


def _draw_shown(console: Console, shown: Shown) -> None:
    manifest = shown.manifest
    console.print(f"{manifest.kind} {escape(manifest.name or manifest.id)}")
    if not shown.here:
        console.print("This store has only its manifest; its files are in another store.")
    facts = [("id", manifest.id), ("folder", shown.path), ("created", manifest.created)]
    facts += [*_flat(manifest.inputs), *_flat(manifest.stats)]
    facts += [pair for pair in _flat(manifest.provenance) if pair[0] in _SHOWN_PROVENANCE]
    for key, value in facts:
        console.print(f"  {key}: {number(value)}")
    for title, listed in (("computed from", shown.parents), ("used by", shown.children)):
        if listed:
            rows = [(one.kind, one.name or one.id, one.about) for one in listed]
            print_table(title, ("kind", "name", "what"), rows)
    if shown.indexes:
        indexes = [
            (one.kind, one.cache, size(one.size_bytes), in_words(one.recall))
            for one in shown.indexes
        ]
        print_table("indexes", ("kind", "cache", "size", "recall of inner products"), indexes)
    for qrels, values in shown.metrics.items():
        print_table(f"measures on {qrels}", ("measure", "value"), list(values.items()))
    draw_curves(console, shown.curves)


def _draw_work(console: Console, shown: ShownWork) -> None:
    work = shown.work
    console.print(f"{work.kind} {escape(work.name or work.id)}, unfinished")
    facts: list[tuple[str, object]] = [("id", work.id), ("folder", work.path)]
    facts += [("begun", work.started.isoformat(timespec="seconds"))]
    facts += [("held by", work.holder or "nobody: running its command again continues it")]
    if shown.phase is not None:
        word = "phase" if work.is_held else "stopped at"
        facts += [(word, f"{shown.phase}, at {shown.phase.updated}")]
    if shown.last_step is not None:
        facts += [("last step", f"{shown.last_step:,}, logged {shown.updated}")]
    for key, value in [*facts, *_flat(work.inputs)]:
        console.print(f"  {key}: {number(value)}")
    draw_curves(console, shown.curves)


def _flat(facts: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Flatten nested values: ``{"seconds": {"scoring": 1}}`` gives ``seconds.scoring``."""
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value
