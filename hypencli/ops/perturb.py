"""Variants of a query set, to measure the robustness of a system."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.atomic import atomic_write, refuse_overwrite
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
    """Options of a variation of queries.

    Attributes:
        kind: One of :data:`~hypencli.data.variations.VARIATION_KINDS`.
        seed: Seed of random choices.
        changes: Words to change, or pairs to swap, in each query. ``paraphrase`` ignores it.
        words: File of words and their synonyms, for ``synonym``.
        model: Sequence-to-sequence model for ``paraphrase``: a folder or a name on the hub.
        prefix: Text that the model expects before each query, for ``paraphrase``.
        device: Device of the model, for ``paraphrase``. None selects the best one.
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
        path: The file.
        queries: Id of the original query set.
        kind: Kind of variation.
        seed: Seed of random choices.
        n_queries: Number of queries.
        n_changed: Number of changed queries.
        unchanged: Ids of queries that could not be changed. Their text is the original one.
        examples: Some changed queries, ``(before, after)``.
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
    """Write a variant of every query to a JSONL file.

    The ids stay, so the judgements hold for the variants too. The variant of a query depends on the
    seed, the kind and the query, not on other queries.

    Args:
        queries: The query set.
        options: See :class:`PerturbOptions`.
        output: The file. The default is ``NAME.KIND-SEED.jsonl`` in the current folder.
        overwrite: Replace an existing file.
        progress: Where to report.

    Raises:
        UsageError: An option is missing or wrong, or the file exists.
        DataError: The word list cannot be read, or the file cannot be written.
        ModelError: The model cannot be loaded.
    """
    _check(options)
    path = output or Path(f"{_stem(queries)}.{options.kind}-{options.seed}.jsonl")
    refuse_overwrite(path, overwrite=overwrite)
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
    """Read the kind of variation from the id of a query set that :func:`perturb` wrote."""
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
        raise UsageError("The number of changes must be at least 1, and the seed at least 0.")
    if (options.kind == "synonym") != (options.words is not None):
        raise UsageError(
            "The kind synonym needs a word list; none is shipped."
            if options.words is None
            else f"The kind {options.kind} uses no word list.",
            hint="Add `kind=synonym` and `words=FILE`, with lines like big<TAB>large<TAB>huge",
        )
    if (options.kind == "paraphrase") != (options.model is not None):
        raise UsageError(
            "The kind paraphrase needs a sequence-to-sequence model; none is shipped."
            if options.model is None
            else f"The kind {options.kind} uses no model.",
            hint="Add `kind=paraphrase` and `model=FOLDER_OR_HUB_NAME`",
        )


def _stem(queries: QuerySet) -> str:
    """Stem of output files: the id of an ir_datasets query set, else the file name."""
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
    """For each query, one beam that differs from it, drawn by the seed."""
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
    """Whether a text differs from the query in more than case and white space."""
    return text.lower().split() != query.text.lower().split()
