"""Variants of a query set, to see what a system makes of queries as people write them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.atomic import atomic_write
from hypencli.data.queries import QuerySet
from hypencli.data.reading.source import FileSource
from hypencli.data.variations import (
    EDITS,
    VARIATION_KINDS,
    VariationKind,
    drawing,
    read_synonyms,
    reworded,
)
from hypencli.errors import UsageError, did_you_mean
from hypencli.progress import SILENT, Progress
from hypencli.records import Query
from hypencli.runtime import quiet_libraries, resolve_device

_KIND_IN_NAME = re.compile(rf"\.({'|'.join(VARIATION_KINDS)})-(\d+)\.jsonl(\.gz)?$")


@dataclass(frozen=True, slots=True)
class PerturbOptions:
    """How queries are changed.

    Attributes:
        kind: One of :data:`~hypencli.data.variations.VARIATION_KINDS`.
        seed: Another one gives other variants.
        changes: Words that are changed, or pairs that are swapped, in each query; not of
            ``paraphrase``.
        words: Of ``synonym``: a file of words and their synonyms.
        model: Of ``paraphrase``: a sequence-to-sequence model, a folder or a name on the hub.
        prefix: Of ``paraphrase``: what the model wants to read before each query.
        device: Of ``paraphrase``: where the model runs; None takes the best there is.
    """

    kind: VariationKind
    seed: int = 0
    changes: int = 1
    words: Path | None = None
    model: str | None = None
    prefix: str = ""
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Perturbed:
    """A query set that was written.

    Attributes:
        unchanged: Queries that there was nothing to change in: they are written as they were.
        examples: Some of those that changed, ``(before, after)``.
    """

    path: Path
    queries: str
    kind: str
    seed: int
    n_queries: int
    n_changed: int
    unchanged: list[str]
    examples: list[tuple[str, str]]


def perturb(
    queries: QuerySet,
    options: PerturbOptions,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Perturbed:
    """Write a variant of every query to a JSONL file, under the ids they have.

    Judgements therefore hold for the variants too. The same seed gives the same variants; each
    query has its own chance, whatever others are in the set.

    Args:
        queries: The query set.
        options: See :class:`PerturbOptions`.
        output: The file; by default ``NAME.KIND-SEED.jsonl`` here, from which ``report`` reads the
            kind again.
        overwrite: Replace a file that is there.
        progress: Where to report.

    Raises:
        UsageError: A kind lacks what it needs, or the file exists.
        DataError: The word list cannot be read, or the file not be written.
        ModelError: The model cannot be loaded.
    """
    _check(options)
    path = output or Path(f"{_stem(queries)}.{options.kind}-{options.seed}.jsonl")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists.", hint="Choose another --output, or add --overwrite")
    variants = _variants(queries, options, progress)
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as out,
    ):
        for query, text in zip(queries, variants, strict=True):
            row = {
                "id": query.query_id,
                "text": text,
                "original": query.text,
                "kind": options.kind,
                "seed": options.seed,
            }
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    changed = [
        (query, text) for query, text in zip(queries, variants, strict=True) if _new(query, text)
    ]
    changed_ids = {query.query_id for query, _ in changed}
    return Perturbed(
        path=path,
        queries=queries.id,
        kind=options.kind,
        seed=options.seed,
        n_queries=len(queries),
        n_changed=len(changed),
        unchanged=[query.query_id for query in queries if query.query_id not in changed_ids],
        examples=[(query.text, text) for query, text in changed[:3]],
    )


def variation_of(queries_id: str) -> VariationKind | None:
    """The kind of variation that a query set holds, by the name that :func:`perturb` gave it."""
    match = _KIND_IN_NAME.search(queries_id)
    if match is None:
        return None
    return next(kind for kind in VARIATION_KINDS if kind == match[1])


def _check(options: PerturbOptions) -> None:
    if options.kind not in VARIATION_KINDS:
        raise UsageError(
            f"There is no variation {options.kind!r}.",
            hint=did_you_mean(options.kind, VARIATION_KINDS),
        )
    if options.changes < 1 or options.seed < 0:
        raise UsageError("A variant has 1 change or more, and a seed of 0 or more.")
    if (options.kind == "synonym") != (options.words is not None):
        raise UsageError(
            "Synonyms come from a word list of yours; none is shipped."
            if options.words is None
            else f"{options.kind} takes no word list.",
            hint="--kind synonym --words FILE, with lines such as big<TAB>large<TAB>huge",
        )
    if (options.kind == "paraphrase") != (options.model is not None):
        raise UsageError(
            "Paraphrases come from a sequence-to-sequence model of yours; none is shipped."
            if options.model is None
            else f"{options.kind} takes no model.",
            hint="--kind paraphrase --model FOLDER_OR_HUB_NAME",
        )


def _stem(queries: QuerySet) -> str:
    """What to call files made of a query set: the whole id of a dataset, else the file's name."""
    kind, _, name = queries.id.rpartition(":")
    return (name if kind == "irds" else FileSource(Path(name)).id_prefix).replace("/", "-")


def _variants(queries: QuerySet, options: PerturbOptions, progress: Progress) -> list[str]:
    if options.kind == "paraphrase":
        return _paraphrased(queries, options, progress)
    if options.words is not None:
        synonyms = read_synonyms(options.words)
        return [
            reworded(query.text, _chance(query, options), synonyms, options.changes)
            for query in queries
        ]
    edit = EDITS[options.kind]
    return [edit(query.text, _chance(query, options), options.changes) for query in queries]


def _chance(query: Query, options: PerturbOptions) -> random.Random:
    return drawing(options.seed, options.kind, query.query_id)


def _paraphrased(queries: QuerySet, options: PerturbOptions, progress: Progress) -> list[str]:
    """For each query one of the beams that say something else, drawn by the seed."""
    from hypencli.models.paraphrase import paraphrases

    quiet_libraries()
    texts = [query.text for query in queries]
    with progress.task("paraphrase", total=len(texts), unit="queries") as task:
        variants = paraphrases(
            str(options.model),
            texts,
            device=resolve_device(options.device),
            prefix=options.prefix,
            on_done=task.advance,
        )
    return [_drawn(query, beams, options) for query, beams in zip(queries, variants, strict=True)]


def _drawn(query: Query, beams: Iterable[str], options: PerturbOptions) -> str:
    other = list(dict.fromkeys(beam for beam in beams if beam and _new(query, beam)))
    return _chance(query, options).choice(other) if other else query.text


def _new(query: Query, text: str) -> bool:
    """Whether a text says something else than the query, but for case and blanks."""
    return text.lower().split() != query.text.lower().split()
